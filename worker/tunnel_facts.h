/* SPDX-License-Identifier: MIT
 * The tunnel's addresses as common/topology wants them, out of the configuration. */
#ifndef WORKER_TUNNEL_FACTS_H
#define WORKER_TUNNEL_FACTS_H

#include "common/topology/topology.h"
#include "conf/config.h"

static inline struct tunnel4 tunnel_facts4(const struct config *c)
{
	return (struct tunnel4){
		.network = c->local4 & c->netmask4,
		.netmask = c->ifconfig_on ? c->netmask4 : 0,
		.own = c->local4,
		.first = c->pool4.on ? c->pool4.first : 1,
		.last = c->pool4.on ? c->pool4.last : 0,
	};
}

static inline struct tunnel6 tunnel_facts6(const struct config *c)
{
	return (struct tunnel6){ .own = c->local6, .base = c->pool6.base, .bits = c->pool6.on ? c->pool6.bits : 0 };
}

#endif

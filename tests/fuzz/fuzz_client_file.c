/* SPDX-License-Identifier: MIT
 * Lines of one client, as scripts and administrators write them. What was kept reads again without a problem,
 * and as the same: the worker refuses a client whose lines it cannot read. */
#include "common/base/check.h"
#include "conf/client_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct text {
	char *bytes;
	size_t len;
};

static void keep(void *context, const char *line, size_t len)
{
	struct text *text = context;
	text->bytes = realloc(text->bytes, text->len + len + 1);
	CHECK(text->bytes != NULL);
	memcpy(text->bytes + text->len, line, len);
	text->bytes[text->len + len] = '\n';
	text->len += len + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const push[] = { "route 10.0.0.0 255.0.0.0", "ping 10" };
	struct text kept = { 0 }, again = { 0 };
	struct client_reading first = { .kept = keep, .context = &kept },
			      second = { .kept = keep, .context = &again };
	struct client_settings *a = client_settings_new(push, 2), *b = client_settings_new(push, 2);

	CHECK(a && b);
	client_settings_read(a, "fuzz", (const char *)data, len, &first);
	CHECK(client_settings_read(b, "again", kept.bytes ? kept.bytes : "", kept.len, &second) == 0);
	CHECK(kept.len == again.len && (!kept.len || memcmp(kept.bytes, again.bytes, kept.len) == 0));
	CHECK(a->push_count == b->push_count && a->route_count == b->route_count && a->disable == b->disable);
	CHECK(a->has4 == b->has4 && a->address4 == b->address4 && a->has6 == b->has6);
	client_settings_finish(a);
	client_settings_finish(b);
	CHECK(a->push_count == b->push_count);
	client_settings_free(&a);
	client_settings_free(&b);
	free(kept.bytes);
	free(again.bytes);
	return 0;
}

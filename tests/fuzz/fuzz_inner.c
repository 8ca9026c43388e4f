/* SPDX-License-Identifier: MIT
 * Four bytes of MSS limits, then a packet: looking never leaves it, clamping keeps right checksums right. */
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/inner/inner.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void clamp(uint8_t *packet, const struct inner_view *view, uint16_t mss4, uint16_t mss6)
{
	bool right = inner_checksums_right(packet, view->length);
	struct inner_view after;
	inner_clamp_mss(packet, view, mss4, mss6);
	CHECK(!right || inner_checksums_right(packet, view->length));
	CHECK(inner_look(packet, view->length, &after) == FATE_NONE);
	CHECK(after.length == view->length && after.upper_offset == view->upper_offset);
	CHECK(inner_address_equal(&after.source, &view->source));
	CHECK(inner_address_equal(&after.destination, &view->destination));
	CHECK(!inner_clamp_mss(packet, view, mss4, mss6)); /* once is enough */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes in = bytes_of(data, len);
	uint16_t mss4 = read_u16(&in), mss6 = read_u16(&in);
	struct inner_view view;
	if (!bytes_ok(&in) || inner_look(in.at, in.left, &view) != FATE_NONE)
		return 0;
	CHECK(view.length <= in.left && view.upper_offset <= view.length);
	CHECK(view.source.family == view.destination.family);
	char text[46];
	CHECK(inner_address_text(&view.source, text, sizeof(text))[0]);

	/* Just as long as it says, so that a step beyond is seen. */
	uint8_t *packet = malloc(view.length);
	if (!packet)
		return 0;
	memcpy(packet, in.at, view.length);
	clamp(packet, &view, mss4, mss6);
	memcpy(packet, in.at, view.length);
	inner_checksums_write(packet, view.length);
	clamp(packet, &view, mss4, mss6);
	free(packet);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "checks.h"
#include "memory.h"
#include "memory_map.h"
#include "terminal.h"
#include "vmm.h"

#define PAGES_PER_GROUP 8	/* a gap after so many blocks helps counting */

/* A line of blocks. A colour is only written out where it changes. */
struct row {
	char text[REGION_MAX_PAGES * 24];
	enum paint paint;
};

struct tally {
	unsigned int private;
	unsigned int shared;
	unsigned int no_memslot;
	unsigned int converted;
};

static void append(struct row *row, const char *text)
{
	strncat(row->text, text, sizeof(row->text) - strlen(row->text) - 1);
}

static void set_paint(struct row *row, enum paint wanted)
{
	if (row->paint == wanted)
		return;
	if (row->paint != PAINT_NONE)
		append(row, paint(PAINT_NONE));
	if (wanted != PAINT_NONE)
		append(row, paint(wanted));
	row->paint = wanted;
}

static void append_block(struct row *row, enum paint colour, enum glyph shape)
{
	set_paint(row, colour);
	append(row, glyph(shape));
}

static void append_page(struct row *row, const struct region *region,
			unsigned int page)
{
	if (!region->plugged)
		append_block(row, PAINT_FAINT, GLYPH_NO_MEMSLOT);
	else if (region->pages[page].private)
		append_block(row, PAINT_PRIVATE, GLYPH_PRIVATE);
	else
		append_block(row, PAINT_SHARED, GLYPH_SHARED);
}

static void append_mark(struct row *row, const struct region *region,
			unsigned int page)
{
	if (region->pages[page].converted)
		append_block(row, PAINT_CONVERTED, GLYPH_CONVERTED);
	else
		append(row, " ");
}

static void count(struct tally *tally, const struct region *region)
{
	unsigned int i;

	for (i = 0; i < region->nr_pages; i++) {
		if (!region->plugged)
			tally->no_memslot++;
		else if (region->pages[i].private)
			tally->private++;
		else
			tally->shared++;
		tally->converted += region->pages[i].converted;
	}
}

static void draw_blocks(const struct region *region)
{
	struct row row = { .paint = PAINT_NONE };
	unsigned int i;

	for (i = 0; i < region->nr_pages; i++) {
		if (i && !(i % PAGES_PER_GROUP))
			append(&row, " ");
		append_page(&row, region, i);
	}
	set_paint(&row, PAINT_NONE);

	print_line("    %-6s0x%06llx  %s", region->name,
		   (unsigned long long)region->gpa, row.text);
}

/* Below the blocks, and only up to the last page that was converted. */
static void draw_marks(const struct region *region)
{
	struct row row = { .paint = PAINT_NONE };
	unsigned int end = region->nr_pages;
	unsigned int i;

	while (end && !region->pages[end - 1].converted)
		end--;
	if (!end)
		return;

	for (i = 0; i < end; i++) {
		if (i && !(i % PAGES_PER_GROUP))
			append(&row, " ");
		append_mark(&row, region, i);
	}
	set_paint(&row, PAINT_NONE);

	print_line("    %-6s%8s  %s", "", "", row.text);
}

static void append_key(struct row *row, enum paint colour, enum glyph shape,
		       unsigned int nr, const char *meaning)
{
	char text[64];

	if (*row->text)
		append(row, "  ");
	append_block(row, colour, shape);
	set_paint(row, PAINT_NONE);
	snprintf(text, sizeof(text), " %u %s", nr, meaning);
	append(row, text);
}

static void draw_legend(const struct tally *tally)
{
	struct row row = { .paint = PAINT_NONE };

	append_key(&row, PAINT_PRIVATE, GLYPH_PRIVATE, tally->private,
		   "private");
	append_key(&row, PAINT_SHARED, GLYPH_SHARED, tally->shared, "shared");
	append_key(&row, PAINT_FAINT, GLYPH_NO_MEMSLOT, tally->no_memslot,
		   "no memslot");
	append_key(&row, PAINT_CONVERTED, GLYPH_CONVERTED, tally->converted,
		   "converted in this act");
	print_line("    %s", row.text);
}

void memory_map_draw(struct vmm *vmm)
{
	struct tally tally = { 0 };
	unsigned int i;

	print_line("%s", "");
	for (i = 0; i < NR_REGIONS; i++) {
		draw_blocks(&vmm->regions[i]);
		draw_marks(&vmm->regions[i]);
		count(&tally, &vmm->regions[i]);
	}
	draw_legend(&tally);
}

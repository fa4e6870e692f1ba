// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "terminal.h"

static const char *const escapes[NR_PAINTS] = {
	[PAINT_NONE]		= "\033[0m",
	[PAINT_TITLE]		= "\033[1m",
	[PAINT_FAINT]		= "\033[2m",
	[PAINT_GOOD]		= "\033[32m",
	[PAINT_BAD]		= "\033[1;31m",
	[PAINT_PRIVATE]		= "\033[35m",
	[PAINT_SHARED]		= "\033[36m",
	[PAINT_CONVERTED]	= "\033[1;33m",
};

static const char *const blocks[NR_GLYPHS] = {
	[GLYPH_PRIVATE]		= "\u2588",
	[GLYPH_SHARED]		= "\u2591",
	[GLYPH_NO_MEMSLOT]	= "\u00b7",
	[GLYPH_CONVERTED]	= "\u25b2",
};

static const char *const letters[NR_GLYPHS] = {
	[GLYPH_PRIVATE]		= "#",
	[GLYPH_SHARED]		= "-",
	[GLYPH_NO_MEMSLOT]	= ".",
	[GLYPH_CONVERTED]	= "^",
};

static bool use_colour;
static bool use_ascii;

/* See no-color.org: NO_COLOR counts if it is set to anything but "". */
static bool colour_is_welcome(void)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (no_color && *no_color)
		return false;
	if (term && !strcmp(term, "dumb"))
		return false;
	return isatty(STDOUT_FILENO);
}

void terminal_init(enum colour_choice colour, bool ascii)
{
	use_colour = colour == COLOUR_ALWAYS ||
		     (colour == COLOUR_AUTO && colour_is_welcome());
	use_ascii = ascii;
}

const char *paint(enum paint paint)
{
	return use_colour ? escapes[paint] : "";
}

const char *glyph(enum glyph glyph)
{
	return use_ascii ? letters[glyph] : blocks[glyph];
}

/* SPDX-License-Identifier: GPL-2.0 */
/* What the terminal can show: colours or none, block characters or ASCII. */
#ifndef SAMPLES_KVM_TERMINAL_H
#define SAMPLES_KVM_TERMINAL_H

#include <stdbool.h>

enum colour_choice {
	COLOUR_AUTO,
	COLOUR_ALWAYS,
	COLOUR_NEVER,
};

enum paint {
	PAINT_NONE,
	PAINT_TITLE,
	PAINT_FAINT,
	PAINT_GOOD,
	PAINT_BAD,
	PAINT_PRIVATE,
	PAINT_SHARED,
	PAINT_CONVERTED,
	NR_PAINTS,
};

enum glyph {
	GLYPH_PRIVATE,
	GLYPH_SHARED,
	GLYPH_NO_MEMSLOT,
	GLYPH_CONVERTED,
	NR_GLYPHS,
};

void terminal_init(enum colour_choice colour, bool ascii);

/* The escape sequence that starts a colour; empty where colour is off. */
const char *paint(enum paint paint);

/* One column wide, with or without --ascii. */
const char *glyph(enum glyph glyph);

#endif /* SAMPLES_KVM_TERMINAL_H */

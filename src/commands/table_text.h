#ifndef TABLE_TEXT_H
#define TABLE_TEXT_H

#include <stdio.h>

#include "commands/table.h"

/* TABLE_TEXT of table_print. */
void table_print_text(const struct table *t, FILE *out, const struct table_bars *bars);

#endif

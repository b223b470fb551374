/* A table for people. To fit the terminal, columns with the same text in every row are moved to a line above
 * the table, then long texts are cut, then columns are left out, the least important first. */
#include "commands/table_text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/ioctl.h>

#include "base/memory.h"
#include "base/visible.h"
#include "commands/cells.h"

enum {
        BAR_CELLS = 12,
        GAP_CELLS = 2,
        SHRUNK_CELLS = 8, /* no text is cut shorter than this */
        DEFAULT_CELLS = 80,
        INDENT_CELLS = 4, /* of texts below a row */
};

/* --- texts as they are shown --- */

static char *shown_copy(const char *text)
{
        size_t size = strlen(text) + 1;
        char *copy = must_malloc(size);

        return visible_copy(text, copy, size);
}

/* Returns @t with its cells as displayed, empty for NULL. The caller frees it with table_deinit. */
static struct table shown_table(const struct table *t)
{
        struct table shown = {.columns = t->columns,
                              .columns_len = t->columns_len,
                              .rows = t->rows,
                              .totals = t->totals,
                              .cap = t->rows};
        size_t cells = t->rows * t->columns_len;

        shown.cells = must_calloc(cells + 1, sizeof(*shown.cells));
        for (size_t i = 0; i < cells; i++)
                shown.cells[i] = shown_copy(t->cells[i] ? t->cells[i] : "");
        return shown;
}

static const char *cell(const struct table *t, size_t row, size_t column)
{
        return t->cells[row * t->columns_len + column];
}

/* --- widths --- */

/* Width 0: the column is left out. */
struct layout {
        size_t *widths;
        bool *above;  /* in the line above the table */
        size_t below; /* the column whose texts have lines of their own, or the number of columns */
        size_t available;
};

static size_t terminal_cells(void)
{
        const char *columns = getenv("COLUMNS");
        struct winsize size;
        long n = columns ? strtol(columns, NULL, 10) : 0;

        if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
                return size.ws_col;
        return n > 0 && n < 10000 ? (size_t)n : DEFAULT_CELLS;
}

static size_t width_of(const struct table *t, size_t column)
{
        size_t width = cells_width(t->columns[column].name);

        for (size_t row = 0; row < t->rows; row++) {
                size_t len = cells_width(cell(t, row, column));

                if (len > width)
                        width = len;
        }
        return width;
}

static size_t total_width(const struct table *t, const struct layout *layout)
{
        size_t width = 0;

        for (size_t c = 0; c < t->columns_len; c++)
                width += layout->widths[c] > 0 ? layout->widths[c] + GAP_CELLS : 0;
        return width > 0 ? width - GAP_CELLS : 0;
}

static bool fits(const struct table *t, const struct layout *layout)
{
        return total_width(t, layout) <= layout->available;
}

/* True if the first @rows rows, at least two, have the same text. */
static bool is_uniform(const struct table *t, size_t column, size_t rows)
{
        for (size_t row = 1; row < rows; row++) {
                if (strcmp(cell(t, 0, column), cell(t, row, column)) != 0)
                        return false;
        }
        return rows > 0 && cell(t, 0, column)[0] != '\0';
}

static void move_above(const struct table *t, struct layout *layout, size_t rows)
{
        for (size_t c = 1; c < t->columns_len && !fits(t, layout); c++) {
                bool droppable = t->columns[c].fit >= TABLE_SHRINK && t->columns[c].fit != TABLE_BELOW &&
                                 !t->columns[c].number;

                if (droppable && layout->widths[c] > 0 && is_uniform(t, c, rows)) {
                        layout->widths[c] = 0;
                        layout->above[c] = true;
                }
        }
}

static void move_below(const struct table *t, struct layout *layout)
{
        for (size_t c = 0; c < t->columns_len && !fits(t, layout); c++) {
                if (t->columns[c].fit == TABLE_BELOW) {
                        layout->widths[c] = 0;
                        layout->below = c;
                }
        }
}

static size_t widest_shrinkable(const struct table *t, const struct layout *layout)
{
        size_t widest = t->columns_len;

        for (size_t c = 0; c < t->columns_len; c++) {
                if (t->columns[c].fit == TABLE_SHRINK && layout->widths[c] > SHRUNK_CELLS &&
                    (widest == t->columns_len || layout->widths[c] > layout->widths[widest]))
                        widest = c;
        }
        return widest;
}

static void shrink(const struct table *t, struct layout *layout)
{
        size_t c = widest_shrinkable(t, layout);

        while (!fits(t, layout) && c < t->columns_len) {
                layout->widths[c]--;
                c = widest_shrinkable(t, layout);
        }
}

/* True if the table fits with its texts cut as short as allowed. */
static bool can_fit(const struct table *t, const struct layout *layout)
{
        size_t width = total_width(t, layout);

        for (size_t c = 0; c < t->columns_len; c++) {
                if (t->columns[c].fit == TABLE_SHRINK && layout->widths[c] > SHRUNK_CELLS)
                        width -= layout->widths[c] - SHRUNK_CELLS;
        }
        return width <= layout->available;
}

static void drop(const struct table *t, struct layout *layout)
{
        for (enum table_fit fit = TABLE_DROP_FIRST; fit >= TABLE_DROP_LAST; fit--) {
                for (size_t c = t->columns_len; c-- > 0 && !can_fit(t, layout);) {
                        if (t->columns[c].fit == fit)
                                layout->widths[c] = 0;
                }
        }
}

static struct layout lay_out(const struct table *t, size_t available)
{
        struct layout layout = {must_calloc(t->columns_len + 1, sizeof(*layout.widths)),
                                must_calloc(t->columns_len + 1, sizeof(*layout.above)), t->columns_len,
                                available};

        for (size_t c = 0; c < t->columns_len; c++)
                layout.widths[c] = width_of(t, c);
        move_above(t, &layout, t->rows - t->totals);
        move_below(t, &layout);
        drop(t, &layout);
        shrink(t, &layout);
        return layout;
}

static void layout_deinit(struct layout *layout)
{
        free(layout->widths);
        free(layout->above);
}

/* True if columns of numbers were left out. */
static bool lacks_numbers(const struct table *t, const struct layout *layout)
{
        for (size_t c = 0; c < t->columns_len; c++) {
                if (layout->widths[c] == 0 && t->columns[c].fit == TABLE_DROP_LAST)
                        return true;
        }
        return false;
}

/* Leaves space for bars unless that would leave out numbers. *ret_room: there is space. */
static struct layout lay_out_with_bars(const struct table *t, bool *ret_room)
{
        size_t available = terminal_cells();
        struct layout layout =
                lay_out(t, available > BAR_CELLS + GAP_CELLS ? available - BAR_CELLS - GAP_CELLS : 1);

        *ret_room = fits(t, &layout) && !lacks_numbers(t, &layout);
        if (!*ret_room) {
                layout_deinit(&layout);
                layout = lay_out(t, available);
        }
        return layout;
}

/* --- bars --- */

static double number_in(const struct table *t, size_t row, size_t column)
{
        const char *text = cell(t, row, column);

        return text ? strtod(text, NULL) : 0;
}

static bool same_group(const struct table *t, size_t a, size_t b, size_t column)
{
        const char *text_a = cell(t, a, column);
        const char *text_b = cell(t, b, column);

        return strcmp(text_a ? text_a : "", text_b ? text_b : "") == 0;
}

static double largest_like(const struct table *t, size_t row, const struct table_bars *bars)
{
        double largest = 0;

        for (size_t i = 0; i < t->rows - t->totals; i++) {
                double n = number_in(t, i, bars->number_column);

                if (n > largest && same_group(t, i, row, bars->group_column))
                        largest = n;
        }
        return largest;
}

/* @share: 0 to 1. */
static void put_bar(FILE *out, double share)
{
        static const char *const parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
        int eighths = (int)(share * (double)(BAR_CELLS * 8) + 0.5);

        for (int i = 0; i < eighths / 8; i++)
                fputs("█", out);
        fputs(parts[eighths % 8], out);
}

/* Finds each group's largest number once; there are few groups. */
struct largest {
        const char *group;
        double number;
};

static double find_largest(const struct table *t, const struct table_bars *bars, struct largest *known,
                           size_t *known_len, size_t row)
{
        const char *text = cell(t, row, bars->group_column);
        const char *group = text ? text : "";

        for (size_t i = 0; i < *known_len; i++) {
                if (strcmp(known[i].group, group) == 0)
                        return known[i].number;
        }
        known[*known_len] = (struct largest){group, largest_like(t, row, bars)};
        return known[(*known_len)++].number;
}

/* --- lines --- */

static void put_spaces(FILE *out, size_t n)
{
        while (n-- > 0)
                fputc(' ', out);
}

/* @last: the last cell of the line. */
static void put_cell(FILE *out, const char *text, size_t width, bool right, bool last)
{
        size_t used = cells_width(text);
        size_t pad = width > used ? width - used : 0;

        if (right)
                put_spaces(out, pad);
        if (used > width)
                pad = width - cells_put(out, text, width);
        else
                fputs(text, out);
        if (!right && !last)
                put_spaces(out, pad);
}

/* Prints the columns with the same text in every row, and the names of those left out. */
static void print_above(const struct table *t, FILE *out, const struct layout *layout)
{
        const char *link = "";
        size_t used = 0;

        for (size_t c = 0; c < t->columns_len; c++) {
                size_t len;

                if (!layout->above[c])
                        continue;
                len = cells_width(t->columns[c].name) + 1 + cells_width(cell(t, 0, c));
                link = used == 0 ? "" : used + 2 + len > layout->available ? "\n" : ", ";
                used = link[0] == ',' ? used + 2 + len : len;
                fprintf(out, "%s%s ", link, t->columns[c].name);
                put_cell(out, cell(t, 0, c), layout->available - cells_width(t->columns[c].name) - 1, false,
                         true);
        }
        fputs(used > 0 ? "\n" : "", out);
}

static void print_left_out(const struct table *t, FILE *out, const struct layout *layout)
{
        const char *link = "left out to fit the terminal: ";
        size_t used = 0;

        for (size_t c = 0; c < t->columns_len; c++) {
                if (layout->widths[c] > 0 || layout->above[c] || layout->below == c)
                        continue;
                if (used > 0)
                        link = used + 2 + strlen(t->columns[c].name) > layout->available ? ",\n" : ", ";
                used = (link[1] == '\n' ? 0 : used + strlen(link)) + strlen(t->columns[c].name);
                fprintf(out, "%s%s", link, t->columns[c].name);
        }
        fputs(used > 0 ? "\n" : "", out);
}

/* Prints a row of @t, or its header if @row is NULL. */
static void print_line(const struct table *t, FILE *out, const struct layout *layout, const size_t *row,
                       bool last)
{
        size_t end = t->columns_len;
        bool first = true;

        while (end > 0 && layout->widths[end - 1] == 0)
                end--;
        for (size_t c = 0; c < end; c++) {
                if (layout->widths[c] == 0)
                        continue;
                fputs(first ? "" : "  ", out);
                first = false;
                put_cell(out, row ? cell(t, *row, c) : t->columns[c].name, layout->widths[c],
                         t->columns[c].number, last && c + 1 == end);
        }
}

/* Prints lines of whole words, indented. */
static void print_below(FILE *out, const char *text, size_t available)
{
        size_t room = available > INDENT_CELLS ? available - INDENT_CELLS : 1;
        size_t used = 0;

        while (*text) {
                size_t len = strcspn(text, " ");
                char *word = strndup(text, len);
                size_t width;

                if (!word)
                        abort();
                width = cells_width(word);
                if (width > room)
                        width = room;
                if (used > 0 && used + 1 + width > room) {
                        fputc('\n', out);
                        used = 0;
                }
                put_spaces(out, used > 0 ? 1 : INDENT_CELLS);
                put_cell(out, word, width, false, true);
                used += (used > 0 ? 1 : 0) + width;
                free(word);
                text += len + strspn(text + len, " ");
        }
        fputc('\n', out);
}

void table_print_text(const struct table *t, FILE *out, const struct table_bars *bars)
{
        struct table shown = shown_table(t);
        bool has_room = false;
        struct layout layout =
                bars ? lay_out_with_bars(&shown, &has_room) : lay_out(&shown, terminal_cells());
        struct largest *known = must_calloc(t->rows + 1, sizeof(*known));
        size_t known_len = 0;

        print_above(&shown, out, &layout);
        print_line(&shown, out, &layout, NULL, true);
        fputc('\n', out);
        for (size_t row = 0; row < t->rows; row++) {
                bool has_bar = has_room && row < t->rows - t->totals;
                double n = has_bar ? number_in(&shown, row, bars->number_column) : 0;

                print_line(&shown, out, &layout, &row, !has_bar);
                if (has_bar) {
                        fputs("  ", out);
                        put_bar(out, n > 0 ? n / find_largest(&shown, bars, known, &known_len, row) : 0);
                }
                fputc('\n', out);
                if (layout.below < t->columns_len)
                        print_below(out, cell(&shown, row, layout.below), layout.available);
        }
        print_left_out(&shown, out, &layout);
        free(known);
        layout_deinit(&layout);
        table_deinit(&shown);
}

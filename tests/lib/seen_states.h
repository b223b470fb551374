#ifndef SEEN_STATES_H
#define SEEN_STATES_H

#include <stddef.h>

/* Defines state_machine_check (base/state_machine.h) for a test that is linked with it: besides checking each step it
 * remembers it, so that the test can show which states and successors it did not reach. */

/* Prints each step that the table of machine @name allows and that was not seen, as "FROM -> TO". Returns how many. */
size_t seen_states_print_missed(const char *name);

#endif

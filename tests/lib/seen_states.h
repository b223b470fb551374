#ifndef SEEN_STATES_H
#define SEEN_STATES_H

#include <stddef.h>

/* Defines state_machine_check (base/state_machine.h) for a test that is linked with it: checks each step and
 * records it, so that the test can list the states and successors that it did not reach. */

/* Prints each step that the table of machine @name allows and that did not occur, as "FROM -> TO". Returns
 * their number. */
size_t seen_states_print_missed(const char *name);

#endif

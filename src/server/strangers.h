#ifndef STRANGERS_H
#define STRANGERS_H

#include "server/sessions.h"

/* TLS clients that have not shown their certificate yet: they cost memory, and anybody may be one. */

/* The one that is to go. It is of the source that has the most (so that one source cannot push others out),
 * among these of those that have sent nothing yet, if any has not, and among these any one: what nobody can
 * aim at. To be called when there are more than SESSIONS_STRANGERS_MAX: a client that means it has shown its
 * certificate before that many others have come. */
struct session *strangers_pick(const struct sessions *set);

#endif

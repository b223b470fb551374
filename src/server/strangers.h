#ifndef STRANGERS_H
#define STRANGERS_H

#include "server/sessions.h"

/* TLS clients that have not shown their certificate yet: they use memory, and anybody can be one. */

/* Returns the one to close. It is of the source with the most strangers (so that one source cannot push out
 * others); among these, of those that have sent nothing, if any; and among these a random one, so that
 * nobody can aim. Call it when there are more than SESSIONS_STRANGERS_MAX: an honest client shows its
 * certificate before that many others connect. */
struct session *strangers_pick(const struct sessions *set);

#endif

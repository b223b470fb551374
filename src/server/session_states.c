/* Which states of a session may follow which, and which of the set's counts. */
#include "base/state_machine.h"
#include "server/session_parts.h"
#include "server/sessions.h"

#define BIT(name)   STATE_BIT(SESSION_##name)
#define PLACE(name) STATE_BIT(PLACE_##name)

static const struct state states[SESSION_STATES] = {
        [SESSION_OPEN] = {"OPEN", BIT(EOF) | BIT(LAST) | BIT(CLOSED)},
        [SESSION_EOF] = {"EOF", BIT(LAST) | BIT(CLOSED)},
        [SESSION_LAST] = {"LAST", BIT(LINGERING) | BIT(CLOSED)},
        [SESSION_LINGERING] = {"LINGERING", BIT(CLOSED)},
        [SESSION_CLOSED] = {"CLOSED", 0},
};

static const struct state places[SESSION_PLACES] = {
        [PLACE_STRANGER] = {"STRANGER", PLACE(CLIENT) | PLACE(GONE)},
        [PLACE_CLIENT] = {"CLIENT", PLACE(REFUSED) | PLACE(GONE)},
        [PLACE_REFUSED] = {"REFUSED", PLACE(GONE)},
        [PLACE_GONE] = {"GONE", 0},
};

static const struct state_machine state_machine = {"session", states, SESSION_STATES};
static const struct state_machine place_machine = {"session's place", places, SESSION_PLACES};

void session_enter(struct session *s, enum session_state state)
{
        state_machine_check(&state_machine, s->state, state);
        s->state = state;
}

void session_move(struct session *s, enum session_place place)
{
        state_machine_check(&place_machine, s->place, place);
        if (s->client && s->place == PLACE_CLIENT)
                rules_disconnect(s->client);
        s->set->places[s->place]--;
        list_remove(&s->stranger);
        s->place = place;
        s->set->places[place]++;
}

#include "relay/partition_stats.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

const char *partition_state_name(enum partition_state state)
{
        static const char *const names[] = {
#define X(name, text) text,
                PARTITION_STATE_MAP(X)
#undef X
        };

        return names[state];
}

void partition_stats_set(struct partition_stats *s, enum partition_state state, const char *trouble)
{
        struct partition_facts before;
        const char *text = trouble ? trouble : "";

        pthread_mutex_lock(&s->mutex);
        before = s->facts;
        s->facts.state = state;
        snprintf(s->facts.trouble, sizeof(s->facts.trouble), "%s", text);
        pthread_mutex_unlock(&s->mutex);
        if (text[0] && strncmp(text, before.trouble, sizeof(before.trouble) - 1) != 0)
                log_warn("partition %u: %s", before.partition, text);
        else if (!text[0] && before.trouble[0])
                log_info("partition %u: %s again", before.partition, partition_state_name(state));
        if (state == before.state)
                return;
        if (state == PARTITION_FEEDING)
                log_info("partition %u: feeding after message %llu", before.partition,
                         (unsigned long long)before.position);
        else
                log_info("partition %u: %s", before.partition, partition_state_name(state));
}

struct partition_facts partition_stats_read(struct partition_stats *s)
{
        struct partition_facts facts;

        pthread_mutex_lock(&s->mutex);
        facts = s->facts;
        pthread_mutex_unlock(&s->mutex);
        return facts;
}

#ifndef LIST_H
#define LIST_H

#include <stdbool.h>
#include <stddef.h>

/* Circular doubly linked lists; the links are members of the listed structs. A link that is not in a list
 * points to itself. */
struct list {
        struct list *next;
        struct list *prev;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
        l->next = l;
        l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
        return l->next == l;
}

static inline void list_remove(struct list *l)
{
        l->prev->next = l->next;
        l->next->prev = l->prev;
        list_init(l);
}

static inline void list_append(struct list *head, struct list *l)
{
        l->prev = head->prev;
        l->next = head;
        head->prev->next = l;
        head->prev = l;
}

static inline void list_prepend(struct list *head, struct list *l)
{
        list_append(head->next, l);
}

/* Moves all links of @from to the end of @to. */
static inline void list_splice(struct list *to, struct list *from)
{
        if (list_empty(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
}

#endif

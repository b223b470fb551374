#ifndef BASE_HIDE_MEMORY_H
#define BASE_HIDE_MEMORY_H

/* Hides this process's memory, which holds passwords and keys: the kernel writes no core file of it, and other processes of its
 * user cannot read it. A sanitizer needs that access, so its builds hide nothing. */
void hide_memory(void);

#endif

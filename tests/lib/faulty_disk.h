#ifndef FAULTY_DISK_H
#define FAULTY_DISK_H

/* A disk on which any single operation of SQLite can be made to fail. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "test.h"

static struct {
        const sqlite3_io_methods *real;
        struct {
                const sqlite3_io_methods *real;
                sqlite3_io_methods faulty;
        } kinds[4]; /* of files, which differ only in how they are locked */
        sqlite3_vfs *base;
        sqlite3_vfs vfs;
        int countdown; /* operations until the one that fails; -1: none */
        int error;     /* the error with which it fails */
        bool hit;
} faulty_disk = {.countdown = -1};

static bool fails(void)
{
        if (faulty_disk.countdown < 0 || faulty_disk.countdown-- > 0)
                return false;
        faulty_disk.hit = true;
        return true;
}

static int faulty_read(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
        return fails() ? SQLITE_IOERR_READ : faulty_disk.real->xRead(file, to, len, at);
}

/* Writes half of the data. */
static int faulty_write(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
        if (!fails())
                return faulty_disk.real->xWrite(file, from, len, at);
        faulty_disk.real->xWrite(file, from, len / 2, at);
        return faulty_disk.error;
}

static int faulty_sync(sqlite3_file *file, int flags)
{
        return fails() ? SQLITE_IOERR_FSYNC : faulty_disk.real->xSync(file, flags);
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 len)
{
        return fails() ? SQLITE_IOERR_TRUNCATE : faulty_disk.real->xTruncate(file, len);
}

static const sqlite3_io_methods *make_faulty(const sqlite3_io_methods *real)
{
        size_t i = 0;

        while (faulty_disk.kinds[i].real && faulty_disk.kinds[i].real != real)
                i++;
        assert_true(i < ARRAY_LEN(faulty_disk.kinds));
        if (!faulty_disk.real)
                faulty_disk.real = real;
        assert_ptr_equal(real->xWrite, faulty_disk.real->xWrite);
        faulty_disk.kinds[i].real = real;
        faulty_disk.kinds[i].faulty = *real;
        faulty_disk.kinds[i].faulty.xRead = faulty_read;
        faulty_disk.kinds[i].faulty.xWrite = faulty_write;
        faulty_disk.kinds[i].faulty.xSync = faulty_sync;
        faulty_disk.kinds[i].faulty.xTruncate = faulty_truncate;
        return &faulty_disk.kinds[i].faulty;
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
        int code;

        (void)vfs;
        if (fails())
                return SQLITE_CANTOPEN;
        code = faulty_disk.base->xOpen(faulty_disk.base, name, file, flags, ret_flags);
        if (code != SQLITE_OK || !file->pMethods)
                return code;
        file->pMethods = make_faulty(file->pMethods);
        return code;
}

static int faulty_disk_set_up(void **state)
{
        (void)state;
        faulty_disk.base = sqlite3_vfs_find(NULL);
        faulty_disk.vfs = *faulty_disk.base;
        faulty_disk.vfs.zName = "faulty";
        faulty_disk.vfs.pNext = NULL;
        faulty_disk.vfs.xOpen = faulty_open;
        return sqlite3_vfs_register(&faulty_disk.vfs, 1);
}

/* --- folders --- */

static void make_dir(char dir[64])
{
        strcpy(dir, "/tmp/ingestd-spool-XXXXXX");
        assert_non_null(mkdtemp(dir));
}

static void remove_dir(const char *dir)
{
        char command[128];

        snprintf(command, sizeof(command), "rm -rf %s", dir);
        assert_int_equal(system(command), 0);
}

#endif

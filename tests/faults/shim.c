/* Calls of this process that change files of one folder, counted; at a chosen one it is killed, or the disk is full.
 * Loaded by LD_PRELOAD; Python arms it through ctypes. The database, Python and HDF5 all go through these calls. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { COUNT = 0, KILL = 1, FULL = 2 };

static char folder[4096];
static size_t length;
static long calls, when;
static int mode = -1;

void fault_arm(char const *where, long number, int what) {
    strncpy(folder, where, sizeof folder - 1);
    length = strlen(folder), calls = 0, when = number, mode = what;
}
long fault_calls(void) { return calls; }

static int inside_path(char const *path) { return mode >= 0 && path && !strncmp(path, folder, length); }

static int inside(int handle) {
    char link[64], path[4096];
    if (mode < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return inside_path(path);
}

/* Whether this is the chosen call, or one after it on a full disk. */
static int strikes(void) {
    long now = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    return mode == KILL ? now == when : mode == FULL && now >= when;
}

static void end(void) { kill(getpid(), SIGKILL); }

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

ssize_t write(int handle, void const *bytes, size_t count) {
    if (inside(handle) && strikes()) {
        if (mode == FULL) return errno = ENOSPC, -1;
        REAL(write)(handle, bytes, count / 2); /* torn */
        end();
    }
    return REAL(write)(handle, bytes, count);
}
ssize_t pwrite(int handle, void const *bytes, size_t count, off_t at) {
    if (inside(handle) && strikes()) {
        if (mode == FULL) return errno = ENOSPC, -1;
        REAL(pwrite)(handle, bytes, count / 2, at);
        end();
    }
    return REAL(pwrite)(handle, bytes, count, at);
}
ssize_t pwrite64(int handle, void const *bytes, size_t count, off64_t at) {
    if (inside(handle) && strikes()) {
        if (mode == FULL) return errno = ENOSPC, -1;
        REAL(pwrite64)(handle, bytes, count / 2, at);
        end();
    }
    return REAL(pwrite64)(handle, bytes, count, at);
}
/* These are counted, and a process may end just before them; a full disk lets them through. */
#define BEFORE(test) do { if ((test) && mode != FULL && strikes()) end(); } while (0)

int fsync(int handle) { BEFORE(inside(handle)); return REAL(fsync)(handle); }
int fdatasync(int handle) { BEFORE(inside(handle)); return REAL(fdatasync)(handle); }
int ftruncate(int handle, off_t size) { BEFORE(inside(handle)); return REAL(ftruncate)(handle, size); }
int ftruncate64(int handle, off64_t size) { BEFORE(inside(handle)); return REAL(ftruncate64)(handle, size); }
int unlink(char const *path) { BEFORE(inside_path(path)); return REAL(unlink)(path); }
int rename(char const *from, char const *to) { BEFORE(inside_path(to)); return REAL(rename)(from, to); }

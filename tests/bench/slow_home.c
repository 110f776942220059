/* Lets each call on a file below a directory take a while, as on a network's disk, and notes it.

   SLOW_HOME: the directory; SLOW_SECONDS: how long; SLOW_LOG: a file for a line a call, "main" or
   "other" for the thread, and the call's name. Preloaded by tests/bench/slow_home.py, on Linux. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int is_below(int directory, const char *path) {
    const char *home = getenv("SLOW_HOME");
    char link[64], place[4096];
    if (!home || !path) return 0;
    if (path[0] != '/') {
        if (directory == AT_FDCWD) return 0;
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, place, sizeof place - 1);
        if (size < 0) return 0;
        place[size] = 0;
        path = place;
    }
    return strncmp(path, home, strlen(home)) == 0;
}

static void pass(int directory, const char *path, const char *name) {
    if (!is_below(directory, path)) return;
    double seconds = atof(getenv("SLOW_SECONDS"));
    struct timespec pause = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    char line[64];
    int size = snprintf(line, sizeof line, "%s %s\n",
                        getpid() == syscall(SYS_gettid) ? "main" : "other", name);
    int log = syscall(SYS_openat, AT_FDCWD, getenv("SLOW_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (log >= 0) {
        if (write(log, line, size) != size) abort();
        syscall(SYS_close, log);
    }
    nanosleep(&pause, NULL);
}

#define ORIGINAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        int mode = va_arg(rest, int);                               \
        va_end(rest);                                               \
        pass(AT_FDCWD, path, "open");                               \
        return ORIGINAL(name)(path, flags, mode);                   \
    }
#define OPENAT(name)                                                \
    int name(int at, const char *path, int flags, ...) {            \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        int mode = va_arg(rest, int);                               \
        va_end(rest);                                               \
        pass(at, path, "open");                                     \
        return ORIGINAL(name)(at, path, flags, mode);               \
    }
#define STAT(name, kind)                                            \
    int name(const char *path, struct kind *status) {               \
        pass(AT_FDCWD, path, "stat");                               \
        return ORIGINAL(name)(path, status);                        \
    }
#define STATAT(name, kind)                                          \
    int name(int at, const char *path, struct kind *status, int f) {\
        pass(at, path, "stat");                                     \
        return ORIGINAL(name)(at, path, status, f);                 \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
STAT(stat, stat)
STAT(lstat, stat)
STAT(stat64, stat64)
STAT(lstat64, stat64)
STATAT(fstatat, stat)
STATAT(fstatat64, stat64)

int mkdir(const char *path, mode_t mode) {
    pass(AT_FDCWD, path, "mkdir");
    return ORIGINAL(mkdir)(path, mode);
}
int mkdirat(int at, const char *path, mode_t mode) {
    pass(at, path, "mkdir");
    return ORIGINAL(mkdirat)(at, path, mode);
}
int unlink(const char *path) {
    pass(AT_FDCWD, path, "unlink");
    return ORIGINAL(unlink)(path);
}
int unlinkat(int at, const char *path, int flags) {
    pass(at, path, "unlink");
    return ORIGINAL(unlinkat)(at, path, flags);
}
int rename(const char *from, const char *to) {
    pass(AT_FDCWD, from, "rename");
    return ORIGINAL(rename)(from, to);
}
int renameat(int at, const char *from, int other, const char *to) {
    pass(at, from, "rename");
    return ORIGINAL(renameat)(at, from, other, to);
}
int linkat(int at, const char *from, int other, const char *to, int flags) {
    pass(at, from, "link");
    return ORIGINAL(linkat)(at, from, other, to, flags);
}
int utimensat(int at, const char *path, const struct timespec times[2], int flags) {
    pass(at, path, "utime");
    return ORIGINAL(utimensat)(at, path, times, flags);
}
int access(const char *path, int mode) {
    pass(AT_FDCWD, path, "access");
    return ORIGINAL(access)(path, mode);
}

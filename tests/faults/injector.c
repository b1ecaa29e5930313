/* Loaded before the C library by LD_PRELOAD. Every call that changes what lies under one folder is named, counted and traced, and one of
   them fails; clocks can be moved. What to do stands in a file that is mapped by the processes and by the test (tests/faults/injector.py
   has its other half): it can be changed while they run. What no call names, no test can break: io_uring is used by none of our libraries. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NONE, FAILED, PERSISTED, FULL, SHORT, TORN, KILL_BEFORE, KILL_AFTER, STOP };
enum { COUNTERS = 4096, PATH = 4096 };

struct board {
    char root[512];   /* what happens under this path counts */
    char trace[512];  /* a line for each operation is appended here */
    char journal[512]; /* the operations with their data, in the order in which they were done: tests/faults/power.py reads it */
    char call[32];    /* the operation that fails: "" is any, "#" any with `ordinal` counted over all */
    char kind[256];   /* path below the root with every number as '#'; "" is any, "*part" any that contains part */
    uint32_t ordinal; /* the n-th of this call and kind, from 1; 0 is every one */
    uint32_t mode;
    uint32_t fired;   /* how often it failed */
    uint32_t on;      /* whether those after it fail too */
    int64_t clock_ns; /* added to CLOCK_REALTIME */
    uint32_t unlocked; /* whether locks on files are granted and mean nothing, as on a network file system that lost them */
    uint32_t total;    /* operations so far */
    uint32_t stopped;  /* the process that stopped itself */
    uint32_t padding;
    uint32_t counters[COUNTERS];
};

static struct board *board;
static char root[512];
static int trace_fd = -1, journal_fd = -1;

#define REAL(result, name, ...) static result (*real)(__VA_ARGS__); if (!real) real = (result (*)(__VA_ARGS__)) dlsym(RTLD_NEXT, name)

static int append_to(const char *path) {
    return path[0] ? (int) syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

void faults_attach(const char *path) {
    int fd = (int) syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (board == MAP_FAILED) { board = NULL; return; }
    memcpy(root, board->root, sizeof root);
    trace_fd = append_to(board->trace);
    journal_fd = append_to(board->journal);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_BOARD");
    if (path && path[0]) faults_attach(path);
}

/* -- which operation is this ---------------------------------------------------------------------------------------------------- */

struct operation { const char *call; char path[PATH]; char kind[256]; uint32_t ordinal; int mode; };

static int absolute(int at, const char *path, char *out) {
    char link[64], resolved[PATH], folder[PATH];
    const char *name = path;
    if (path[0] == '/') { snprintf(folder, sizeof folder, "%s", path); }
    else {
        ssize_t size;
        if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        size = readlink(link, resolved, sizeof resolved - 1);
        if (size <= 0) return 0;
        resolved[size] = 0;
        if (strlen(resolved) + strlen(name) + 2 > sizeof folder) return 0;
        strcpy(folder, resolved); strcat(folder, "/"); strcat(folder, name);
    }
    snprintf(out, PATH, "%s", folder);
    return 1;
}

static int of_descriptor(int fd, char *out) {
    char link[64];
    ssize_t size;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, out, PATH - 1);
    if (size <= 0) return 0;
    out[size] = 0;
    if (size > 10 && strcmp(out + size - 10, " (deleted)") == 0) out[size - 10] = 0;
    return 1;
}

static uint32_t place(const char *call, const char *kind) {
    uint32_t hash = 2166136261u;
    for (const char *c = call; *c; c++) hash = (hash ^ (unsigned char) *c) * 16777619u;
    hash = (hash ^ '|') * 16777619u;
    for (const char *c = kind; *c; c++) hash = (hash ^ (unsigned char) *c) * 16777619u;
    return hash % COUNTERS;
}

static int applies(struct operation *op, uint32_t total) {
    if (board->mode == NONE) return 0;
    if (board->call[0] == '#') return board->ordinal == total || (board->on && board->ordinal < total);
    if (board->call[0] && strcmp(board->call, op->call) != 0) return 0;
    if (board->kind[0] == '*' ? strstr(op->kind, board->kind + 1) == NULL : board->kind[0] && strcmp(board->kind, op->kind) != 0) return 0;
    return board->ordinal == 0 || board->ordinal == op->ordinal || (board->on && board->ordinal < op->ordinal);
}

/* Whether the operation is one of ours; counts and traces it, and says in op->mode how it shall fail. */
static int ours(struct operation *op, const char *call, long size) {
    size_t length = strlen(root);
    const char *from;
    char *to = op->kind, line[512];
    if (!board || !length || strncmp(op->path, root, length) != 0 || (op->path[length] != '/' && op->path[length])) return 0;
    op->call = call;
    if (!op->path[length]) *to++ = '.';
    for (from = op->path + length + (op->path[length] != 0); *from && to < op->kind + sizeof op->kind - 1; from++) {
        if (*from >= '0' && *from <= '9') { if (to == op->kind || to[-1] != '#') *to++ = '#'; }
        else *to++ = *from;
    }
    *to = 0;
    op->ordinal = __atomic_add_fetch(&board->counters[place(call, op->kind)], 1, __ATOMIC_SEQ_CST);
    op->mode = NONE;
    if (applies(op, __atomic_add_fetch(&board->total, 1, __ATOMIC_SEQ_CST))) {
        op->mode = (int) board->mode;
        __atomic_add_fetch(&board->fired, 1, __ATOMIC_SEQ_CST);
    }
    if (trace_fd >= 0) {
        int n = snprintf(line, sizeof line, "%s\t%s\t%u\t%ld\t%d\n", call, op->kind, op->ordinal, size, op->mode);
        if (syscall(SYS_write, trace_fd, line, (size_t) n) < 0) abort();
    }
    if (op->mode == KILL_BEFORE) kill(getpid(), SIGKILL);
    if (op->mode == STOP) { board->mode = NONE; board->stopped = (uint32_t) getpid(); kill(getpid(), SIGSTOP); }
    return 1;
}

/* What was done, with its data, for whoever asks what a power cut would have left. Called after it was done. */
static void journal(struct operation *op, const char *other, int64_t offset, const void *data, size_t size, int sync) {
    char head[2 * PATH + 128];
    struct iovec parts[2];
    int n;
    if (journal_fd < 0) return;
    n = snprintf(head, sizeof head, "%s\t%s\t%s\t%lld\t%zu\t%d\n", op->call, op->path + strlen(root) + (op->path[strlen(root)] != 0),
                 other ? (strncmp(other, root, strlen(root)) == 0 ? other + strlen(root) + 1 : other) : "", (long long) offset, size, sync);
    parts[0].iov_base = head; parts[0].iov_len = (size_t) n;
    parts[1].iov_base = (void *) data; parts[1].iov_len = data ? size : 0;
    if (syscall(SYS_writev, journal_fd, parts, data ? 2 : 1) < 0) abort();
}

static long outcome(struct operation *op, long result) {
    if (op->mode == KILL_AFTER) kill(getpid(), SIGKILL);
    if (op->mode == PERSISTED) { errno = EIO; return -1; }
    return result;
}

/* 1: the call shall not be made; errno is set. */
static int refused(struct operation *op) {
    if (op->mode == FAILED) { errno = EIO; return 1; }
    if (op->mode == FULL) { errno = ENOSPC; return 1; }
    return 0;
}

/* -- writes --------------------------------------------------------------------------------------------------------------------- */

static ssize_t do_write(int fd, const struct iovec *parts, int count, off_t offset) {
    return offset < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, offset, 0L);
}

static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
    struct operation op;
    struct iovec joined;
    char *copy;
    size_t size = 0, wanted, at = 0;
    ssize_t result;
    off_t before;
    int flags;
    if (!board || !of_descriptor(fd, op.path)) return do_write(fd, parts, count, offset);
    for (int i = 0; i < count; i++) size += parts[i].iov_len;
    if (!ours(&op, "write", (long) size)) return do_write(fd, parts, count, offset);
    if (refused(&op)) return -1;
    copy = malloc(size ? size : 1);
    if (!copy) abort();
    for (int i = 0; i < count; i++) { memcpy(copy + at, parts[i].iov_base, parts[i].iov_len); at += parts[i].iov_len; }
    wanted = (op.mode == SHORT || op.mode == TORN) && size > 1 ? size / 2 : size;
    joined.iov_base = copy; joined.iov_len = wanted;
    flags = fcntl(fd, F_GETFL);
    before = offset >= 0 ? offset : flags & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    result = do_write(fd, &joined, 1, offset);
    if (result > 0) journal(&op, NULL, before, copy, (size_t) result, (flags & O_DSYNC) != 0);
    free(copy);
    if (op.mode == TORN) kill(getpid(), SIGKILL);
    return outcome(&op, result);
}

ssize_t write(int fd, const void *data, size_t size) { struct iovec p = {(void *) data, size}; return write_parts(fd, &p, 1, -1); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return write_parts(fd, parts, count, -1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { struct iovec p = {(void *) data, size}; return write_parts(fd, &p, 1, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { struct iovec p = {(void *) data, size}; return write_parts(fd, &p, 1, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return write_parts(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return write_parts(fd, parts, count, at); }

/* Copies within the kernel become reads and writes: the writes are seen. */
ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t size, unsigned flags) {
    struct operation op;
    REAL(ssize_t, "copy_file_range", int, off_t *, int, off_t *, size_t, unsigned);
    if (board && of_descriptor(out, op.path) && strncmp(op.path, root, strlen(root)) == 0) { errno = EXDEV; return -1; }
    return real(in, in_at, out, out_at, size, flags);
}

ssize_t sendfile(int out, int in, off_t *at, size_t size) {
    struct operation op;
    REAL(ssize_t, "sendfile", int, int, off_t *, size_t);
    if (board && of_descriptor(out, op.path) && strncmp(op.path, root, strlen(root)) == 0) { errno = ENOTSOCK; return -1; }
    return real(out, in, at, size);
}

ssize_t sendfile64(int out, int in, off_t *at, size_t size) { return sendfile(out, in, at, size); }

/* -- syncs, and what else is done to an open file ---------------------------------------------------------------------------------- */

#define ON_DESCRIPTOR(fd, name, size, call, log)                          \
    struct operation op;                                                   \
    long result;                                                           \
    if (!board || !of_descriptor(fd, op.path) || !ours(&op, name, size)) return call; \
    if (refused(&op)) return -1;                                           \
    result = call;                                                         \
    if (result == 0) log;                                                  \
    return (int) outcome(&op, result)

int fsync(int fd) { ON_DESCRIPTOR(fd, "sync", 0, (int) syscall(SYS_fsync, fd), journal(&op, NULL, 0, NULL, 0, 1)); }
int fdatasync(int fd) { ON_DESCRIPTOR(fd, "sync", 0, (int) syscall(SYS_fdatasync, fd), journal(&op, NULL, 0, NULL, 0, 1)); }
int sync_file_range(int fd, off64_t at, off64_t size, unsigned flags) {
    ON_DESCRIPTOR(fd, "sync-range", size, (int) syscall(SYS_sync_file_range, fd, at, size, flags), (void) 0);
}
int ftruncate(int fd, off_t size) { ON_DESCRIPTOR(fd, "truncate", size, (int) syscall(SYS_ftruncate, fd, size), journal(&op, NULL, size, NULL, 0, 0)); }
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }
int fallocate(int fd, int mode, off_t at, off_t size) {
    ON_DESCRIPTOR(fd, "allocate", size, (int) syscall(SYS_fallocate, fd, mode, at, size), journal(&op, NULL, mode & FALLOC_FL_KEEP_SIZE ? 0 : at + size, NULL, 0, 0));
}
int fallocate64(int fd, int mode, off_t at, off_t size) { return fallocate(fd, mode, at, size); }
int fchmod(int fd, mode_t mode) { ON_DESCRIPTOR(fd, "chmod", mode, (int) syscall(SYS_fchmod, fd, mode), (void) 0); }

/* -- locks: those that this process takes from now on hold nobody off ------------------------------------------------------------ */

int flock(int fd, int what) { return board && board->unlocked ? 0 : (int) syscall(SYS_flock, fd, what); }
static int control(int fd, int command, void *argument) {
    int sets = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    if (board && board->unlocked && sets) return 0;
    return (int) syscall(SYS_fcntl, fd, command, argument);
}
int fcntl(int fd, int command, ...) { va_list list; void *argument; va_start(list, command); argument = va_arg(list, void *); va_end(list); return control(fd, command, argument); }
int fcntl64(int fd, int command, ...) { va_list list; void *argument; va_start(list, command); argument = va_arg(list, void *); va_end(list); return control(fd, command, argument); }

/* -- names ------------------------------------------------------------------------------------------------------------------------- */

#define ON_PATH(folder, named, name, call, log)                                 \
    struct operation op;                                                   \
    long result;                                                           \
    if (!board || !absolute(folder, named, op.path) || !ours(&op, name, 0)) return call; \
    if (refused(&op)) return -1;                                           \
    result = call;                                                         \
    if (result == 0) log;                                                  \
    return (int) outcome(&op, result)

static int rename_at(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    char target[PATH];
    if (!absolute(to_at, to, target)) target[0] = 0;
    ON_PATH(from_at, from, "rename", (int) syscall(SYS_renameat2, from_at, from, to_at, to, flags), journal(&op, target, 0, NULL, 0, 0));
}
int rename(const char *from, const char *to) { return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_at, const char *from, int to_at, const char *to) { return rename_at(from_at, from, to_at, to, 0); }
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) { return rename_at(from_at, from, to_at, to, flags); }

int unlinkat(int at, const char *path, int flags) {
    ON_PATH(at, path, "unlink", (int) syscall(SYS_unlinkat, at, path, flags), journal(&op, NULL, 0, NULL, 0, 0));
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    int result = unlink(path);
    return result < 0 && (errno == EISDIR || errno == EPERM) ? rmdir(path) : result;
}
int mkdirat(int at, const char *path, mode_t mode) {
    ON_PATH(at, path, "mkdir", (int) syscall(SYS_mkdirat, at, path, mode), journal(&op, NULL, 0, NULL, 0, 0));
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    char source[PATH];
    if (!absolute(from_at, from, source)) source[0] = 0;
    ON_PATH(to_at, to, "link", (int) syscall(SYS_linkat, from_at, from, to_at, to, flags), journal(&op, source, 0, NULL, 0, 0));
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int symlink(const char *to, const char *path) { ON_PATH(AT_FDCWD, path, "link", (int) syscall(SYS_symlinkat, to, AT_FDCWD, path), (void) 0); }
int chmod(const char *path, mode_t mode) { ON_PATH(AT_FDCWD, path, "chmod", (int) syscall(SYS_fchmodat, AT_FDCWD, path, mode), (void) 0); }
int fchmodat(int at, const char *path, mode_t mode, int flags) {
    REAL(int, "fchmodat", int, const char *, mode_t, int);
    ON_PATH(at, path, "chmod", real(at, path, mode, flags), (void) 0);
}
int truncate(const char *path, off_t size) { ON_PATH(AT_FDCWD, path, "truncate", (int) syscall(SYS_truncate, path, size), journal(&op, NULL, size, NULL, 0, 0)); }

/* An open is an operation where it makes a file or empties one. */
static int open_at(int at, const char *path, int flags, mode_t mode) {
    struct operation op;
    struct stat found;
    int fd, there;
    if (!board || !(flags & (O_CREAT | O_TRUNC)) || !absolute(at, path, op.path)) return (int) syscall(SYS_openat, at, path, flags, mode);
    there = syscall(SYS_newfstatat, at, path, &found, 0) == 0;
    if (there && (!(flags & O_TRUNC) || found.st_size == 0)) return (int) syscall(SYS_openat, at, path, flags, mode);
    if (!ours(&op, there ? "truncate" : "create", 0)) return (int) syscall(SYS_openat, at, path, flags, mode);
    if (refused(&op)) return -1;
    fd = (int) syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0) journal(&op, NULL, 0, NULL, 0, 0);
    if (fd >= 0 && op.mode == PERSISTED) syscall(SYS_close, fd);
    return (int) outcome(&op, fd);
}

#define MODE(flags, mode) mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }
int open(const char *path, int flags, ...) { MODE(flags, mode) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode) return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags, mode) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags, mode) return open_at(at, path, flags | O_LARGEFILE, mode); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* -- clocks ------------------------------------------------------------------------------------------------------------------------ */

int clock_gettime(clockid_t clock, struct timespec *now) {
    int64_t ns;
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    if (real(clock, now) < 0) return -1;
    if (board && board->clock_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        ns = (int64_t) now->tv_sec * 1000000000 + now->tv_nsec + board->clock_ns;
        now->tv_sec = ns / 1000000000; now->tv_nsec = ns % 1000000000;
    }
    return 0;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void) zone;
    if (clock_gettime(CLOCK_REALTIME, &exact) < 0) return -1;
    now->tv_sec = exact.tv_sec; now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (out) *out = exact.tv_sec;
    return exact.tv_sec;
}

/* Loaded before the C library by LD_PRELOAD: a disk that is dying. While the file $DISK_FAILS exists and holds `<call>:<part>`,
   that call (`sync`: fsync and fdatasync; `write`: pwrite) fails with EIO on every file whose path contains <part>. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(const char *call, int fd) {
    const char *rule = getenv("DISK_FAILS");
    char text[256] = "", link[64], path[4096];
    size_t length = strlen(call);
    ssize_t size;
    int file;
    if (rule == NULL || (file = open(rule, O_RDONLY | O_CLOEXEC)) < 0) return 0;
    size = read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0 || strncmp(text, call, length) != 0 || text[length] != ':') return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return strstr(path, text + length + 1) != NULL;
}

#define REAL(name, type) static type real; if (!real) real = (type) dlsym(RTLD_NEXT, name)
typedef int (*sync_call)(int);
typedef ssize_t (*write_call)(int, const void *, size_t, off_t);

int fsync(int fd) {
    REAL("fsync", sync_call);
    if (fails("sync", fd)) { errno = EIO; return -1; }
    return real(fd);
}

int fdatasync(int fd) {
    REAL("fdatasync", sync_call);
    if (fails("sync", fd)) { errno = EIO; return -1; }
    return real(fd);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    REAL("pwrite", write_call);
    if (fails("write", fd)) { errno = EIO; return -1; }
    return real(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
    REAL("pwrite64", write_call);
    if (fails("write", fd)) { errno = EIO; return -1; }
    return real(fd, data, size, offset);
}

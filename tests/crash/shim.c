/*
 * Stands between a process and its C library (LD_PRELOAD) and sees every file call below one folder, whoever makes it:
 * SQLite, pyarrow or Python. It can do two things, and does neither until it is told to (see tests/crash/shim.py):
 *
 *   - fail: the n-th of the calls of some kinds, or all from the n-th on, with an errno, or take half of a write;
 *   - record: write what happens to files, with content, into one ordered log.
 *
 * A call that the log has no word for (a write through a mapping, a copy inside the kernel, a rename into another
 * folder, ...) is recorded as an error: a harness that overlooks a way to write would find too little.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 65536
#define REAL(name) ((__typeof__(&name))next_of(#name))
#define CALLS_MAX 65536
#define SHORT_WRITE (-1)

/* What kind of call it is; the numbers are known to shim.py. */
enum { OPEN = 1, WRITE = 2, READ = 4, TRUNCATE = 8, SYNC = 16, RENAME = 32, UNLINK = 64, MKDIR = 128, CREATE = 256 };

/* What is logged. */
enum { LOG_CREATE = 1, LOG_MKDIR, LOG_RENAME, LOG_DELETE, LOG_WRITE, LOG_TRUNCATE, LOG_SYNC, LOG_SYNC_FOLDER, LOG_NOTE,
       LOG_REFUSED };

static char root[PATH_MAX];
static size_t root_length;
static char *paths[FDS_MAX]; /* of descriptors that are open below the root */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int is_armed, is_lasting, error_number, kinds;
static long fail_at, seen, fired, calls;
static uint16_t kinds_of[CALLS_MAX]; /* of each call since it was armed */
static char fired_at[PATH_MAX + 64];

static int log_descriptor = -1, skips_sync;
static int64_t logged;

struct entry {
    int32_t kind, name_length, other_length, unused;
    int64_t inode, number, data_length;
};

static void *next_of(const char *name) { return dlsym(RTLD_NEXT, name); }

/* ------------------------------------------------------------------------------------------------- told from outside */

void shim_watch(const char *folder) {
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
}

void shim_skip_syncs(int yes) { skips_sync = yes; }

void shim_arm(long n, int number, int of_kinds, int lasting) {
    pthread_mutex_lock(&lock);
    fail_at = n, error_number = number, kinds = of_kinds, is_lasting = lasting;
    seen = fired = calls = 0;
    fired_at[0] = 0;
    is_armed = 1;
    pthread_mutex_unlock(&lock);
}

void shim_disarm(void) { is_armed = 0; }
long shim_seen(void) { return seen; }

/* How many calls of some kinds there were since it was armed. */
long shim_count(int of_kinds) {
    long count = 0;
    for (long call = 0; call < calls; call++) count += (kinds_of[call] & of_kinds) != 0;
    return count;
}

long shim_fired(void) { return fired; }
const char *shim_fired_at(void) { return fired_at; }

int shim_record(const char *log) {
    logged = 0;
    log_descriptor = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return log_descriptor;
}

static void append(int kind, const char *name, const char *other, int64_t inode, int64_t number, const void *data,
                   int64_t data_length) {
    struct entry entry = {kind, (int32_t)strlen(name), (int32_t)strlen(other), 0, inode, number, data_length};
    struct iovec parts[4] = {{&entry, sizeof entry},
                             {(void *)name, strlen(name)},
                             {(void *)other, strlen(other)},
                             {(void *)data, (size_t)data_length}};
    long whole = (long)sizeof entry + entry.name_length + entry.other_length + (long)data_length;
    if (syscall(SYS_writev, log_descriptor, parts, 4) != whole) {
        fprintf(stderr, "shim: the log cannot be written\n");
        abort();
    }
    logged++;
}

void shim_note(const char *text) {
    pthread_mutex_lock(&lock);
    if (log_descriptor >= 0) append(LOG_NOTE, text, "", 0, 0, "", 0);
    pthread_mutex_unlock(&lock);
}

void shim_stop(void) {
    pthread_mutex_lock(&lock);
    if (log_descriptor >= 0) syscall(SYS_close, log_descriptor);
    log_descriptor = -1;
    pthread_mutex_unlock(&lock);
}

/* ------------------------------------------------------------------------------------------------------------- inside */

static int is_below(const char *path) {
    return root_length && !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* Return the absolute path of a name, in a buffer of PATH_MAX; NULL where it is not below the root. */
static const char *full_path(int folder, const char *name, char *buffer) {
    char link[64];
    ssize_t length = 0;
    if (!name || !root_length) return NULL;
    if (name[0] == '/') return is_below(name) ? name : NULL;
    if (folder == AT_FDCWD) {
        if (!getcwd(buffer, PATH_MAX)) return NULL;
        length = (ssize_t)strlen(buffer);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        if ((length = readlink(link, buffer, PATH_MAX - 1)) < 0) return NULL;
    }
    snprintf(buffer + length, (size_t)(PATH_MAX - length), "/%s", name);
    return is_below(buffer) ? buffer : NULL;
}

static const char *path_of(int descriptor) {
    return descriptor >= 0 && descriptor < FDS_MAX ? paths[descriptor] : NULL;
}

static void keep_path(int descriptor, const char *path) {
    if (descriptor < 0 || descriptor >= FDS_MAX) return;
    free(paths[descriptor]);
    paths[descriptor] = path ? strdup(path) : NULL;
}

/* Shared memory is no part of what survives: SQLite builds it anew. */
static int is_recorded(const char *path) {
    size_t length = path ? strlen(path) : 0;
    return path && log_descriptor >= 0 && !(length > 4 && !strcmp(path + length - 4, "-shm"));
}

static const char *below(const char *path) { return path[root_length] ? path + root_length + 1 : ""; }

static int64_t inode_of(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) ? -1 : (int64_t)status.st_ino;
}

static void refuse(const char *call, const char *path) {
    pthread_mutex_lock(&lock);
    if (is_recorded(path)) append(LOG_REFUSED, below(path), call, 0, 0, "", 0);
    pthread_mutex_unlock(&lock);
}

/* Return what a call is to fail with: 0 for nothing, SHORT_WRITE, or an errno, which is set. */
static int failure(int kind, const char *call, const char *path) {
    int found = 0;
    if (!path || !is_armed) return 0;
    pthread_mutex_lock(&lock);
    if (is_armed && calls < CALLS_MAX) kinds_of[calls++] = (uint16_t)kind;
    if (is_armed && (kind & kinds)) {
        seen++;
        if (is_lasting ? seen >= fail_at : seen == fail_at) {
            if (!fired++) snprintf(fired_at, sizeof fired_at, "%s %s", call, below(path));
            found = error_number;
        }
    }
    pthread_mutex_unlock(&lock);
    if (found > 0) errno = found;
    return found;
}

/* -------------------------------------------------------------------------------------------------------------- names */

static int open_at(int folder, const char *name, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    const char *path = full_path(folder, name, buffer);
    int descriptor, existed, saved;
    if (!path) {
        descriptor = (int)syscall(SYS_openat, folder, name, flags, mode);
        keep_path(descriptor, NULL);
        return descriptor;
    }
    existed = !syscall(SYS_faccessat, folder, name, F_OK);
    if (failure((flags & O_CREAT) && !existed ? OPEN | CREATE : OPEN, "open", path)) return -1;
    pthread_mutex_lock(&lock);
    descriptor = (int)syscall(SYS_openat, folder, name, flags, mode);
    saved = errno;
    if (descriptor >= 0) {
        keep_path(descriptor, path);
        if (is_recorded(path)) {
            int64_t inode = inode_of(descriptor);
            if ((flags & O_CREAT) && !existed) append(LOG_CREATE, below(path), "", inode, 0, "", 0);
            if ((flags & O_TRUNC) && existed) append(LOG_TRUNCATE, "", "", inode, 0, "", 0);
            if ((flags & O_TMPFILE) == O_TMPFILE || (flags & O_DSYNC))
                append(LOG_REFUSED, below(path), "open with O_TMPFILE or O_SYNC", 0, 0, "", 0);
        }
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return descriptor;
}

#define MODE_OF(flags)                                             \
    mode_t mode = 0;                                               \
    if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {        \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode = va_arg(rest, mode_t);                               \
        va_end(rest);                                              \
    }

int open(const char *name, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, name, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE_OF(flags) return open_at(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE_OF(flags) return open_at(folder, name, flags, mode); }
int __open_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
int __openat_2(int folder, const char *name, int flags) { return open_at(folder, name, flags, 0); }
int __openat64_2(int folder, const char *name, int flags) { return open_at(folder, name, flags, 0); }
int creat(const char *name, mode_t mode) { return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int descriptor) {
    pthread_mutex_lock(&lock);
    keep_path(descriptor, NULL);
    pthread_mutex_unlock(&lock);
    return (int)syscall(SYS_close, descriptor);
}

static int rename_at(int from, const char *old, int to, const char *new, unsigned flags) {
    char old_buffer[PATH_MAX], new_buffer[PATH_MAX];
    const char *source = full_path(from, old, old_buffer), *target = full_path(to, new, new_buffer);
    int result, saved;
    if (failure(RENAME, "rename", source)) return -1;
    pthread_mutex_lock(&lock);
    result = (int)syscall(SYS_renameat2, from, old, to, new, flags);
    saved = errno;
    if (!result && (is_recorded(source) || is_recorded(target))) {
        const char *inside = source ? source : target;
        if (source && target && !flags && strrchr(source, '/') - source == strrchr(target, '/') - target &&
            !strncmp(source, target, (size_t)(strrchr(source, '/') - source)))
            append(LOG_RENAME, below(source), below(target), 0, 0, "", 0);
        else
            append(LOG_REFUSED, below(inside), "rename into another folder", 0, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

int rename(const char *old, const char *new) { return rename_at(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int from, const char *old, int to, const char *new) { return rename_at(from, old, to, new, 0); }
int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    return rename_at(from, old, to, new, flags);
}

static int remove_at(int folder, const char *name, int flags) {
    char buffer[PATH_MAX];
    const char *path = full_path(folder, name, buffer);
    int result, saved;
    if (failure(UNLINK, flags ? "rmdir" : "unlink", path)) return -1;
    pthread_mutex_lock(&lock);
    result = (int)syscall(SYS_unlinkat, folder, name, flags);
    saved = errno;
    if (!result && is_recorded(path)) append(LOG_DELETE, below(path), "", 0, 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

int unlink(const char *name) { return remove_at(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return remove_at(AT_FDCWD, name, AT_REMOVEDIR); }
int unlinkat(int folder, const char *name, int flags) { return remove_at(folder, name, flags); }
int remove(const char *name) {
    struct stat status;
    return remove_at(AT_FDCWD, name, !lstat(name, &status) && S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdirat(int folder, const char *name, mode_t mode) {
    char buffer[PATH_MAX];
    const char *path = full_path(folder, name, buffer);
    int result, saved;
    if (failure(MKDIR, "mkdir", path)) return -1;
    pthread_mutex_lock(&lock);
    result = (int)syscall(SYS_mkdirat, folder, name, mode);
    saved = errno;
    if (!result && is_recorded(path)) append(LOG_MKDIR, below(path), "", 0, 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* ------------------------------------------------------------------------------------------------------------ content */

/* offset -1: where the descriptor stands. */
static ssize_t write_at(int descriptor, const void *data, size_t size, off_t offset) {
    const char *path = path_of(descriptor);
    int failed, saved;
    ssize_t result;
    if (!path)
        return offset < 0 ? syscall(SYS_write, descriptor, data, size)
                          : syscall(SYS_pwrite64, descriptor, data, size, offset);
    failed = failure(WRITE, "write", path);
    if (failed > 0) return -1;
    if (failed == SHORT_WRITE && size > 1) size /= 2;
    pthread_mutex_lock(&lock);
    if (is_recorded(path)) {
        struct stat status;
        off_t at = offset;
        if (offset < 0) {
            int flags = (int)syscall(SYS_fcntl, descriptor, F_GETFL);
            at = (flags & O_APPEND) && !fstat(descriptor, &status) ? status.st_size : lseek(descriptor, 0, SEEK_CUR);
        }
        result = offset < 0 ? syscall(SYS_write, descriptor, data, size)
                            : syscall(SYS_pwrite64, descriptor, data, size, offset);
        saved = errno;
        if (result > 0) append(LOG_WRITE, "", "", inode_of(descriptor), at, data, result);
    } else {
        result = offset < 0 ? syscall(SYS_write, descriptor, data, size)
                            : syscall(SYS_pwrite64, descriptor, data, size, offset);
        saved = errno;
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

ssize_t write(int descriptor, const void *data, size_t size) { return write_at(descriptor, data, size, -1); }
ssize_t pwrite(int descriptor, const void *data, size_t size, off_t at) { return write_at(descriptor, data, size, at); }
ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t at) { return write_at(descriptor, data, size, at); }

ssize_t read(int descriptor, void *data, size_t size) {
    if (failure(READ, "read", path_of(descriptor))) return -1;
    return syscall(SYS_read, descriptor, data, size);
}

ssize_t pread64(int descriptor, void *data, size_t size, off64_t at) {
    if (failure(READ, "read", path_of(descriptor))) return -1;
    return syscall(SYS_pread64, descriptor, data, size, at);
}

ssize_t pread(int descriptor, void *data, size_t size, off_t at) { return pread64(descriptor, data, size, at); }
ssize_t __read_chk(int descriptor, void *data, size_t size, size_t room) {
    if (size > room) abort();
    return read(descriptor, data, size);
}
ssize_t __pread_chk(int descriptor, void *data, size_t size, off_t at, size_t room) {
    if (size > room) abort();
    return pread64(descriptor, data, size, at);
}
ssize_t __pread64_chk(int descriptor, void *data, size_t size, off64_t at, size_t room) {
    if (size > room) abort();
    return pread64(descriptor, data, size, at);
}

int ftruncate64(int descriptor, off64_t size) {
    const char *path = path_of(descriptor);
    int result, saved;
    if (failure(TRUNCATE, "ftruncate", path)) return -1;
    pthread_mutex_lock(&lock);
    result = (int)syscall(SYS_ftruncate, descriptor, size);
    saved = errno;
    if (!result && is_recorded(path)) append(LOG_TRUNCATE, "", "", inode_of(descriptor), size, "", 0);
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

int ftruncate(int descriptor, off_t size) { return ftruncate64(descriptor, size); }

static int sync_of(int descriptor, long call) {
    const char *path = path_of(descriptor);
    struct stat status;
    int64_t began;
    int result, saved;
    if (!path) return (int)syscall(call, descriptor);
    if (failure(SYNC, "fsync", path)) return -1;
    pthread_mutex_lock(&lock);
    began = logged;
    pthread_mutex_unlock(&lock);
    result = skips_sync ? 0 : (int)syscall(call, descriptor);
    saved = errno;
    pthread_mutex_lock(&lock);
    if (!result && is_recorded(path) && !fstat(descriptor, &status)) {
        if (S_ISDIR(status.st_mode))
            append(LOG_SYNC_FOLDER, below(path), "", 0, began, "", 0);
        else
            append(LOG_SYNC, "", "", (int64_t)status.st_ino, began, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

int fsync(int descriptor) { return sync_of(descriptor, SYS_fsync); }
int fdatasync(int descriptor) { return sync_of(descriptor, SYS_fdatasync); }

/* ---------------------------------------------------------------------------------- what the log has no word for */

void *mmap64(void *address, size_t size, int protection, int flags, int descriptor, off64_t at) {
    const char *path = flags & MAP_ANONYMOUS ? NULL : path_of(descriptor);
    if (path && (protection & PROT_WRITE) && (flags & MAP_SHARED)) refuse("a mapping to write through", path);
    return (void *)syscall(SYS_mmap, address, size, protection, flags, descriptor, at);
}

void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t at) {
    return mmap64(address, size, protection, flags, descriptor, at);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    refuse("writev", path_of(descriptor));
    return syscall(SYS_writev, descriptor, parts, count);
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t at) {
    refuse("pwritev", path_of(descriptor));
    return REAL(pwritev)(descriptor, parts, count, at);
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t at) {
    refuse("pwritev", path_of(descriptor));
    return REAL(pwritev64)(descriptor, parts, count, at);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned flags) {
    refuse("copy_file_range", path_of(to));
    return syscall(SYS_copy_file_range, from, from_at, to, to_at, size, flags);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t size) {
    refuse("sendfile", path_of(to));
    return syscall(SYS_sendfile, to, from, at, size);
}

ssize_t sendfile(int to, int from, off_t *at, size_t size) { return sendfile64(to, from, at, size); }

int fallocate64(int descriptor, int mode, off64_t at, off64_t size) {
    refuse("fallocate", path_of(descriptor));
    return (int)syscall(SYS_fallocate, descriptor, mode, at, size);
}

int fallocate(int descriptor, int mode, off_t at, off_t size) { return fallocate64(descriptor, mode, at, size); }

int posix_fallocate64(int descriptor, off64_t at, off64_t size) {
    return fallocate64(descriptor, 0, at, size) ? errno : 0;
}

int posix_fallocate(int descriptor, off_t at, off_t size) { return posix_fallocate64(descriptor, at, size); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
    char buffer[PATH_MAX];
    refuse("link", full_path(to, new, buffer));
    return (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int symlink(const char *old, const char *new) {
    char buffer[PATH_MAX];
    refuse("symlink", full_path(AT_FDCWD, new, buffer));
    return (int)syscall(SYS_symlinkat, old, AT_FDCWD, new);
}

int truncate64(const char *name, off64_t size) {
    char buffer[PATH_MAX];
    refuse("truncate", full_path(AT_FDCWD, name, buffer));
    return (int)syscall(SYS_truncate, name, size);
}

int truncate(const char *name, off_t size) { return truncate64(name, size); }

FILE *fopen64(const char *name, const char *mode) {
    char buffer[PATH_MAX];
    if (mode[0] != 'r' || strchr(mode, '+')) refuse("fopen", full_path(AT_FDCWD, name, buffer));
    return REAL(fopen64)(name, mode);
}

FILE *fopen(const char *name, const char *mode) {
    char buffer[PATH_MAX];
    if (mode[0] != 'r' || strchr(mode, '+')) refuse("fopen", full_path(AT_FDCWD, name, buffer));
    return REAL(fopen)(name, mode);
}

/* Many send() by one system call: io_uring (Linux 5.6 and later).
 *
 * Sends are queued and then submitted together. Each has MSG_DONTWAIT, so the kernel
 * completes it during the submission: when sf_uring_submit() returns, every result is
 * there, and no buffer is used any more. Nothing ever waits in the ring.
 *
 * A ring belongs to the thread that opened it. After a fork() the child must not use it,
 * since both processes would write to the same memory. */
#ifndef SF_URING_H
#define SF_URING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__linux__) && defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#define SF_HAS_URING 1
#endif
#endif

#ifdef SF_HAS_URING

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every processor of Linux that has them (asm-generic/unistd.h);
 * headers older than 5.1 do not name them. */
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#endif

/* Flags of io_uring_setup() that old headers do not name. */
enum {
    SF_SINGLE_ISSUER = 1 << 12,  /* 6.0: only one thread submits */
    SF_DEFER_TASKRUN = 1 << 13,  /* 6.1: no interrupts for what has completed */
    SF_NO_SQARRAY = 1 << 16      /* 6.6: submissions in the order of their queue */
};

typedef struct {
    int fd; /* -1: not open */
    unsigned entries;
    unsigned queued; /* since the last submission */
    unsigned tail;
    unsigned mask;
    unsigned cq_mask;
    unsigned *sq_tail;
    unsigned *cq_head;
    unsigned *cq_tail;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    char *rings;
    size_t rings_size;
    size_t sqes_size;
} sf_uring;

static inline void
sf_uring_close(sf_uring *ring)
{
    if (ring->sqes != NULL) {
        munmap(ring->sqes, ring->sqes_size);
    }
    if (ring->rings != NULL) {
        munmap(ring->rings, ring->rings_size);
    }
    if (ring->fd >= 0) {
        close(ring->fd);
    }
    memset(ring, 0, sizeof *ring);
    ring->fd = -1;
}

static inline void *
sf_uring_map(int fd, size_t size, uint64_t offset)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                   (off_t)offset);

    return p == MAP_FAILED ? NULL : p;
}

/* Opens a ring with these flags. Returns 0, or -1 with errno. */
static inline int
sf_uring_open_with(sf_uring *ring, unsigned entries, unsigned flags)
{
    struct io_uring_params params;
    unsigned *array, i;
    int error;

    memset(ring, 0, sizeof *ring);
    memset(&params, 0, sizeof params);
    params.flags = flags;
    ring->fd = (int)syscall(__NR_io_uring_setup, entries, &params);
    if (ring->fd < 0) {
        return -1;
    }
    /* Before 5.4 the two rings are mapped apart; before 5.5 a full one loses results. */
    if (!(params.features & IORING_FEAT_SINGLE_MMAP)) {
        sf_uring_close(ring);
        errno = ENOSYS;
        return -1;
    }
    ring->rings_size = params.cq_off.cqes + params.cq_entries * sizeof *ring->cqes;
    if (!(flags & SF_NO_SQARRAY)
        && params.sq_off.array + params.sq_entries * sizeof *array > ring->rings_size) {
        ring->rings_size = params.sq_off.array + params.sq_entries * sizeof *array;
    }
    ring->sqes_size = params.sq_entries * sizeof *ring->sqes;
    ring->rings = sf_uring_map(ring->fd, ring->rings_size, IORING_OFF_SQ_RING);
    ring->sqes = sf_uring_map(ring->fd, ring->sqes_size, IORING_OFF_SQES);
    if (ring->rings == NULL || ring->sqes == NULL) {
        error = errno;
        sf_uring_close(ring);
        errno = error;
        return -1;
    }
    ring->entries = params.sq_entries;
    ring->sq_tail = (unsigned *)(ring->rings + params.sq_off.tail);
    ring->mask = *(unsigned *)(ring->rings + params.sq_off.ring_mask);
    ring->cq_head = (unsigned *)(ring->rings + params.cq_off.head);
    ring->cq_tail = (unsigned *)(ring->rings + params.cq_off.tail);
    ring->cq_mask = *(unsigned *)(ring->rings + params.cq_off.ring_mask);
    ring->cqes = (struct io_uring_cqe *)(ring->rings + params.cq_off.cqes);
    if (!(flags & SF_NO_SQARRAY)) {
        array = (unsigned *)(ring->rings + params.sq_off.array);
        for (i = 0; i < ring->entries; i++) {
            array[i] = i;
        }
    }
    return 0;
}

/* Opens a ring for `entries` sends at a time, as well as this kernel can. Returns 0, or
 * -1 with errno: containers often forbid it (EPERM), old kernels lack it (ENOSYS). */
static inline int
sf_uring_open(sf_uring *ring, unsigned entries)
{
    static const unsigned best[] = {
        SF_SINGLE_ISSUER | SF_DEFER_TASKRUN | SF_NO_SQARRAY,
        SF_SINGLE_ISSUER | SF_DEFER_TASKRUN,
        0,
    };
    size_t i;

    for (i = 0; i < sizeof best / sizeof *best; i++) {
        if (sf_uring_open_with(ring, entries, best[i]) == 0) {
            return 0;
        }
        if (errno != EINVAL) {
            return -1;
        }
    }
    return -1;
}

/* Queues a send; `tag` comes with its result. The queue must have a place: at most
 * `entries` sends are queued before a submission. */
static inline void
sf_uring_send(sf_uring *ring, int fd, const char *p, size_t n, uint64_t tag)
{
    struct io_uring_sqe *entry = &ring->sqes[ring->tail & ring->mask];

    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_SEND;
    entry->fd = fd;
    entry->addr = (uint64_t)(uintptr_t)p;
    entry->len = (uint32_t)n;
    entry->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    entry->user_data = tag;
    ring->tail++;
    ring->queued++;
}

/* Submits what is queued. Returns 0 when each has its result, or -1 with errno: then some
 * may have been sent, which sf_uring_result() tells, and the ring is to be closed. */
static inline int
sf_uring_submit(sf_uring *ring)
{
    unsigned left = ring->queued;
    long taken;

    __atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
    while (left > 0) {
        taken = syscall(__NR_io_uring_enter, ring->fd, left, left,
                        IORING_ENTER_GETEVENTS, NULL, 0);
        if (taken < 0 && errno == EINTR) {
            continue;
        }
        if (taken <= 0) {
            if (taken == 0) {
                errno = EBUSY;
            }
            return -1;
        }
        left -= (unsigned)taken;
    }
    ring->queued = 0;
    return 0;
}

/* Takes the next result of a submission. Returns 0 if there is none, else 1 and the tag
 * of the send and how many bytes the kernel took, which is 0 if it takes none now, or -1
 * if the connection is broken: as sf_send() returns it. */
static inline int
sf_uring_result(sf_uring *ring, uint64_t *tag, ptrdiff_t *sent)
{
    unsigned head = *ring->cq_head;
    const struct io_uring_cqe *result;

    if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    result = &ring->cqes[head & ring->cq_mask];
    *tag = result->user_data;
    *sent = result->res >= 0 ? result->res
        : result->res == -EAGAIN || result->res == -EWOULDBLOCK
                || result->res == -ENOBUFS || result->res == -EINTR ? 0 : -1;
    __atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
    return 1;
}

#else

#define SF_HAS_URING 0

typedef struct {
    int fd;
    unsigned entries;
    unsigned queued;
} sf_uring;

static inline void
sf_uring_close(sf_uring *ring)
{
    ring->fd = -1;
}

static inline int
sf_uring_open(sf_uring *ring, unsigned entries)
{
    (void)entries;
    ring->fd = -1;
    return -1;
}

static inline void
sf_uring_send(sf_uring *ring, int fd, const char *p, size_t n, uint64_t tag)
{
    (void)ring, (void)fd, (void)p, (void)n, (void)tag;
}

static inline int
sf_uring_submit(sf_uring *ring)
{
    (void)ring;
    return -1;
}

static inline int
sf_uring_result(sf_uring *ring, uint64_t *tag, ptrdiff_t *sent)
{
    (void)ring, (void)tag, (void)sent;
    return 0;
}

#endif

#endif

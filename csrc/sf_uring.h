/* Many send() by one system call: io_uring (Linux 5.7 and later).
 *
 * Sends are queued and then submitted together. Each has MSG_DONTWAIT, so the kernel
 * completes it during the submission: when sf_uring_submit() returns, every result is
 * there, and no buffer is used any more. Nothing ever waits in the ring.
 *
 * A ring belongs to the thread that opened it. After a fork() the child must not use it,
 * since both processes would write to the same memory. */
#ifndef SF_URING_H
#define SF_URING_H

#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* syscall(). Python.h, where it comes first, has defined it. */
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Not on Android, which kills a process for trying, and not on processors of which others
 * (libuv) report faults. */
#if defined(__linux__) && !defined(__ANDROID__) && !defined(__ILP32__) \
    && (defined(__x86_64__) || defined(__aarch64__) || defined(__s390x__) \
        || (defined(__riscv) && __riscv_xlen == 64))
#define SF_HAS_URING 1
#endif

#ifdef SF_HAS_URING

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What <linux/io_uring.h> has. The headers of systems that wheels are built on are older
 * than io_uring. */
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#endif

typedef struct {
    uint8_t opcode;
    uint8_t flags;
    uint16_t priority;
    int32_t fd;
    uint64_t offset;
    uint64_t address;
    uint32_t length;
    uint32_t message_flags;
    uint64_t user_data;
    uint64_t unused[3];
} sf_uring_submission;

typedef struct {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
} sf_uring_completion;

/* Where the parts of the rings are, in bytes from their beginning. */
typedef struct {
    uint32_t head, tail, mask, entries, flags, dropped, array, unused;
    uint64_t address;
} sf_uring_sq_offsets;

typedef struct {
    uint32_t head, tail, mask, entries, overflow, completions, flags, unused;
    uint64_t address;
} sf_uring_cq_offsets;

typedef struct {
    uint32_t sq_entries, cq_entries, flags, cpu, idle, features, workers, unused[3];
    sf_uring_sq_offsets sq;
    sf_uring_cq_offsets cq;
} sf_uring_params;

enum {
    SF_URING_SEND = 26,        /* IORING_OP_SEND, 5.6 */
    SF_URING_SINGLE_MMAP = 1,  /* a feature, 5.4: both rings in one mapping */
    SF_URING_FAST_POLL = 32,   /* a feature, 5.7, which shows that there is SEND */
    SF_URING_GETEVENTS = 1,    /* of io_uring_enter(): wait for what has been submitted */
    SF_URING_RINGS = 0,        /* what mmap() maps */
    SF_URING_SUBMISSIONS = 0x10000000
};

/* Flags of io_uring_setup(). */
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
    sf_uring_submission *sqes;
    sf_uring_completion *cqes;
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
    sf_uring_params params;
    unsigned *array, i;
    int error;

    memset(ring, 0, sizeof *ring);
    memset(&params, 0, sizeof params);
    params.flags = flags;
    ring->fd = (int)syscall(__NR_io_uring_setup, entries, &params);
    if (ring->fd < 0) {
        return -1;
    }
    if (!(params.features & SF_URING_SINGLE_MMAP)
        || !(params.features & SF_URING_FAST_POLL)) {
        sf_uring_close(ring);
        errno = ENOSYS;
        return -1;
    }
    ring->rings_size = params.cq.completions + params.cq_entries * sizeof *ring->cqes;
    if (!(flags & SF_NO_SQARRAY)
        && params.sq.array + params.sq_entries * sizeof *array > ring->rings_size) {
        ring->rings_size = params.sq.array + params.sq_entries * sizeof *array;
    }
    ring->sqes_size = params.sq_entries * sizeof *ring->sqes;
    ring->rings = sf_uring_map(ring->fd, ring->rings_size, SF_URING_RINGS);
    ring->sqes = sf_uring_map(ring->fd, ring->sqes_size, SF_URING_SUBMISSIONS);
    if (ring->rings == NULL || ring->sqes == NULL) {
        error = errno;
        sf_uring_close(ring);
        errno = error;
        return -1;
    }
    ring->entries = params.sq_entries;
    ring->sq_tail = (unsigned *)(ring->rings + params.sq.tail);
    ring->mask = *(unsigned *)(ring->rings + params.sq.mask);
    ring->cq_head = (unsigned *)(ring->rings + params.cq.head);
    ring->cq_tail = (unsigned *)(ring->rings + params.cq.tail);
    ring->cq_mask = *(unsigned *)(ring->rings + params.cq.mask);
    ring->cqes = (sf_uring_completion *)(ring->rings + params.cq.completions);
    if (!(flags & SF_NO_SQARRAY)) {
        array = (unsigned *)(ring->rings + params.sq.array);
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
    sf_uring_submission *entry = &ring->sqes[ring->tail & ring->mask];

    memset(entry, 0, sizeof *entry);
    entry->opcode = SF_URING_SEND;
    entry->fd = fd;
    entry->address = (uint64_t)(uintptr_t)p;
    entry->length = (uint32_t)n;
    entry->message_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    entry->user_data = tag;
    ring->tail++;
    ring->queued++;
}

/* Submits what is queued. Returns how many sends the kernel has taken, the first ones of
 * the queue, each of which has a result now. If these are not all, errno says why, and
 * the ring is to be closed. */
static inline unsigned
sf_uring_submit(sf_uring *ring)
{
    unsigned taken = 0;
    long more;

    __atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
    while (taken < ring->queued) {
        more = syscall(__NR_io_uring_enter, ring->fd, ring->queued - taken,
                       ring->queued - taken, SF_URING_GETEVENTS, NULL, 0);
        if (more < 0 && errno == EINTR) {
            continue;
        }
        if (more <= 0) {
            if (more == 0) {
                errno = EBUSY;
            }
            break;
        }
        taken += (unsigned)more;
    }
    ring->queued = 0;
    return taken;
}

/* Takes the next result of a submission. Returns 0 if there is none, else 1 and the tag
 * of the send and how many bytes the kernel took, which is 0 if it takes none now, or -1
 * if the connection is broken: as sf_send() returns it. */
static inline int
sf_uring_result(sf_uring *ring, uint64_t *tag, ptrdiff_t *sent)
{
    unsigned head = *ring->cq_head;
    const sf_uring_completion *found;

    if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    found = &ring->cqes[head & ring->cq_mask];
    *tag = found->user_data;
    switch (found->result) {
    case -EAGAIN:
#if EAGAIN != EWOULDBLOCK
    case -EWOULDBLOCK:
#endif
    case -ENOBUFS:
    case -EINTR:
        *sent = 0;
        break;
    default:
        *sent = found->result < 0 ? -1 : found->result;
    }
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

static inline unsigned
sf_uring_submit(sf_uring *ring)
{
    (void)ring;
    return 0;
}

static inline int
sf_uring_result(sf_uring *ring, uint64_t *tag, ptrdiff_t *sent)
{
    (void)ring, (void)tag, (void)sent;
    return 0;
}

#endif

#endif

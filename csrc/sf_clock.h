/* A monotonic clock that is cheap to read: the system updates it only every 1 to 16 ms.
 * Where the system has no such clock, this is the usual monotonic clock. */
#ifndef SF_CLOCK_H
#define SF_CLOCK_H

#include <stdint.h>

#ifdef _WIN32

#include <windows.h>

/* Nanoseconds since an unspecified moment. The value never decreases. */
static inline int64_t
sf_coarse_ns(void)
{
    return (int64_t)GetTickCount64() * 1000000;
}

#else

#include <time.h>

#if defined(CLOCK_MONOTONIC_COARSE)
#define SF_COARSE_CLOCK CLOCK_MONOTONIC_COARSE
#elif defined(CLOCK_MONOTONIC_RAW_APPROX)
#define SF_COARSE_CLOCK CLOCK_MONOTONIC_RAW_APPROX
#elif defined(CLOCK_MONOTONIC_FAST)
#define SF_COARSE_CLOCK CLOCK_MONOTONIC_FAST
#else
#define SF_COARSE_CLOCK CLOCK_MONOTONIC
#endif

/* Nanoseconds since an unspecified moment. The value never decreases. */
static inline int64_t
sf_coarse_ns(void)
{
    struct timespec now;

    clock_gettime(SF_COARSE_CLOCK, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif

#endif

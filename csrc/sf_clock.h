/* Two clocks. One is monotonic and cheap to read: the system updates it only every 1 to
 * 16 ms. Where the system has no such clock, this is the usual monotonic clock. The other
 * goes on while the machine sleeps. */
#ifndef SF_CLOCK_H
#define SF_CLOCK_H

#include <stdint.h>

#ifdef _WIN32

/* Without these, windows.h has macros for min, max, small and more. */
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>

/* Nanoseconds since an unspecified moment. The value never decreases. */
static inline int64_t
sf_coarse_ns(void)
{
    return (int64_t)GetTickCount64() * 1000000;
}

/* Seconds since an unspecified moment, with those in which the machine slept. */
static inline double
sf_awake_or_not(void)
{
    return (double)GetTickCount64() / 1000;
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

#if defined(CLOCK_BOOTTIME)
#define SF_SLEEPING_CLOCK CLOCK_BOOTTIME
#elif defined(__APPLE__)
/* It goes on there; the clock of Python's event loops does not. */
#define SF_SLEEPING_CLOCK CLOCK_MONOTONIC
#else
#define SF_SLEEPING_CLOCK CLOCK_REALTIME
#endif

/* Seconds since an unspecified moment, with those in which the machine slept. Where the
 * system has no such clock, this is the time of day, which may be set. */
static inline double
sf_awake_or_not(void)
{
    struct timespec now;

    clock_gettime(SF_SLEEPING_CLOCK, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1000000000;
}

#endif

#endif

/* Two monotonic clocks.
 *
 * One is cheap to read: the system updates it only every 1 to 16 ms. Where the system has
 * no such clock, this is the usual monotonic clock.
 *
 * The other one goes on while the machine sleeps, where the system has such a clock; the
 * clocks of event loops stand still meanwhile. */
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

/* The same, while the machine sleeps too. */
static inline int64_t
sf_sleepless_ns(void)
{
    return sf_coarse_ns();
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

#if defined(CLOCK_BOOTTIME)
#define SF_SLEEPLESS_CLOCK CLOCK_BOOTTIME
#else
#define SF_SLEEPLESS_CLOCK CLOCK_MONOTONIC
#endif

static inline int64_t
sf_clock_ns_(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Nanoseconds since an unspecified moment. The value never decreases. */
static inline int64_t
sf_coarse_ns(void)
{
    return sf_clock_ns_(SF_COARSE_CLOCK);
}

/* The same, while the machine sleeps too. */
static inline int64_t
sf_sleepless_ns(void)
{
    return sf_clock_ns_(SF_SLEEPLESS_CLOCK);
}

#endif

#endif

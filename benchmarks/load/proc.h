/* What a process has used so far, from /proc. */
#ifndef LOAD_PROC_H
#define LOAD_PROC_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* User and system time of all threads of a process, or -1 where it is gone. */
static inline double
proc_cpu_seconds(int pid)
{
    char path[64], line[1024];
    unsigned long user, system;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return -1;
    }
    size_t n = fread(line, 1, sizeof(line) - 1, file);
    fclose(file);
    line[n] = '\0';
    /* The name, in parentheses, may itself hold spaces and parentheses. */
    const char *rest = strrchr(line, ')');
    if (rest == NULL ||
        sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2) {
        return -1;
    }
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Resident bytes of a process, or -1 where it is gone. */
static inline int64_t
proc_rss_bytes(int pid)
{
    char path[64];
    long pages;
    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return -1;
    }
    int found = fscanf(file, "%*s %ld", &pages);
    fclose(file);
    return found == 1 ? (int64_t)pages * sysconf(_SC_PAGESIZE) : -1;
}

static inline double
own_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

#endif

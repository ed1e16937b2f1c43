#include "load.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "proc.h"

enum { EVENTS = 512, READ_BYTES = 1 << 20, LONGEST_WAIT_MS = 50 };

/* What the clock, the server and this process stood at. */
struct reading {
    uint64_t at_ns;
    uint64_t messages;
    uint64_t spun_ns;
    double own_cpu;
    double server_cpu;
};

void
fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

uint64_t
clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t
seconds_ns(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static void
allow_open_files(uint32_t connections)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)connections + 16;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < needed) {
        limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < needed) {
        fail("%u connections need more open files than the limit of %lu", connections,
             (unsigned long)limit.rlim_max);
    }
}

static void
run_prepare(struct run *run)
{
    const struct options *options = &run->options;
    size_t largest = 2 * options->payload + 65536;
    allow_open_files(options->connections);
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (run->epoll < 0) {
        fail("epoll_create1: %s", strerror(errno));
    }
    run->random = 0x9E3779B9;
    run->read.length = largest > READ_BYTES ? largest : READ_BYTES;
    run->read.data = allocate(run->read.length, 1);
    run->clients = allocate(options->connections, sizeof(*run->clients));
    for (uint32_t i = 0; i < options->connections; i++) {
        run->clients[i].index = i;
        run->clients[i].fd = -1;
        if (!options->scenario->silent && !options->scenario->measures_opening) {
            run->clients[i].slots = allocate(options->in_flight, sizeof(struct slot));
        }
    }
    if (options->tls) {
        run->tls = tls_prepare();
    }
    if (options->deflate) {
        deflate_prepare(largest);
    }
    options->scenario->prepare(run);
    run->now = run->progress_ns = clock_ns();
}

/* Opens what may be opened now: everyone once, or those who have left again. */
static void
open_clients(struct run *run)
{
    const struct options *options = &run->options;
    if (options->scenario->measures_opening) {
        for (uint32_t i = 0; i < options->connections; i++) {
            if (run->clients[i].state == CLIENT_CLOSED) {
                client_open(run, &run->clients[i]);
            }
        }
        return;
    }
    while (run->next < options->connections && run->pending < options->pending) {
        client_open(run, &run->clients[run->next++]);
    }
}

static const char *
waiting_for(const struct run *run)
{
    static const char *const names[] = {
        [CLIENT_CLOSED] = "nothing",
        [CLIENT_CONNECTING] = "the TCP connection",
        [CLIENT_UPGRADING] = "the answer to the upgrade",
        [CLIENT_OPENING] = "the open packet",
        [CLIENT_JOINING] = "the answer to CONNECT",
        [CLIENT_READY] = "messages",
        [CLIENT_LEAVING] = "the server to close",
    };
    enum client_state state = CLIENT_CLOSED;
    for (uint32_t i = 0; i < run->options.connections; i++) {
        const struct client *client = &run->clients[i];
        if (client->state != CLIENT_CLOSED &&
            (client->state != CLIENT_READY || client->in_flight > 0)) {
            state = client->state;
        }
    }
    return names[state];
}

static void
check_progress(struct run *run)
{
    bool waits = run->in_flight > 0 || run->pending > 0;
    if (waits && run->now - run->progress_ns > seconds_ns(STALL_SECONDS)) {
        fail("no progress for %d seconds: %u of %u connected, %u messages in flight, "
             "waiting for %s",
             STALL_SECONDS, run->ready, run->options.connections, run->in_flight,
             waiting_for(run));
    }
}

/* Serves what is ready, waiting for it no longer than until `deadline`. */
static void
run_once(struct run *run, uint64_t deadline)
{
    struct epoll_event events[EVENTS];
    int wait = LONGEST_WAIT_MS;
    uint64_t begun = run->now;
    bool spins = run->options.rate > 0 &&
                 (run->phase == PHASE_WARMUP || run->phase == PHASE_MEASURE);
    if (spins) {
        /* Asleep, it would wake too late to send on time. */
        pace(run);
        begun = run->now;
        wait = 0;
    } else if (deadline < run->now + (uint64_t)LONGEST_WAIT_MS * 1000000u) {
        wait = deadline > run->now ? (int)((deadline - run->now) / 1000000u) + 1 : 0;
    }
    int n = epoll_wait(run->epoll, events, EVENTS, wait);
    if (n < 0 && errno != EINTR) {
        fail("epoll_wait: %s", strerror(errno));
    }
    run->now = clock_ns();
    if (spins && n == 0) {
        run->spun_ns += run->now - begun;
    }
    for (int i = 0; i < n; i++) {
        client_on_event(run, events[i].data.ptr, events[i].events);
    }
    check_progress(run);
}

static void
open_everyone(struct run *run)
{
    uint64_t deadline = run->now + seconds_ns(OPENING_SECONDS);
    if (run->options.scenario->measures_opening) {
        return;
    }
    while (run->ready < run->options.connections) {
        open_clients(run);
        run_once(run, deadline);
        if (run->now > deadline) {
            fail("only %u of %u connections in %d seconds", run->ready,
                 run->options.connections, OPENING_SECONDS);
        }
    }
}

static void
start_everyone(struct run *run)
{
    const struct scenario *scenario = run->options.scenario;
    if (scenario->measures_opening) {
        return;
    }
    for (uint32_t i = 0; i < run->options.connections; i++) {
        run->now = clock_ns();
        scenario->start(run, &run->clients[i]);
        if (!scenario->silent) {
            scenario->transport->commit(run, &run->clients[i]);
        }
    }
    pace_start(run);
    run->progress_ns = run->now;
}

/* What a phase of a closed loop must achieve: every client's messages, twice. In less,
   a slow server with many clients shows a part of its round, and not its pace. */
static uint64_t
least_messages(const struct run *run)
{
    const struct options *options = &run->options;
    if (options->scenario->measures_opening || options->scenario->silent ||
        options->rate > 0) {
        return 0;
    }
    return (uint64_t)options->connections * options->in_flight * 2;
}

static void
run_for(struct run *run, enum phase phase, double seconds)
{
    uint64_t deadline = run->now + seconds_ns(seconds);
    uint64_t latest = deadline + seconds_ns(EXTRA_SECONDS);
    uint64_t wanted = run->messages + least_messages(run);
    run->phase = phase;
    while (run->now < deadline || (run->messages < wanted && run->now < latest)) {
        if (run->options.scenario->measures_opening) {
            open_clients(run);
        }
        run_once(run, run->now < deadline ? deadline : latest);
    }
}

/* Sends nothing new, and waits for every answer that is still due. */
static void
drain(struct run *run)
{
    run->phase = PHASE_DRAIN;
    run->progress_ns = run->now;
    while (run->in_flight > 0 || run->pending > 0) {
        run_once(run, run->now + seconds_ns(STALL_SECONDS));
    }
}

static struct reading
take_reading(struct run *run)
{
    struct reading reading = {.server_cpu = NAN};
    reading.at_ns = run->now = clock_ns();
    reading.messages = run->messages;
    reading.spun_ns = run->spun_ns;
    reading.own_cpu = own_cpu_seconds();
    if (run->options.pid != 0) {
        reading.server_cpu = proc_cpu_seconds(run->options.pid);
        if (reading.server_cpu < 0) {
            fail("process %d is gone", run->options.pid);
        }
    }
    return reading;
}

static int64_t
server_rss(const struct run *run)
{
    int64_t bytes = run->options.pid != 0 ? proc_rss_bytes(run->options.pid) : 0;
    if (bytes < 0) {
        fail("process %d is gone", run->options.pid);
    }
    return bytes;
}

static void
print_microseconds(const struct run *run, const char *name, double percent)
{
    double value = (double)hist_percentile(&run->latency, percent) / 1000.0;
    printf("\"%s\": %.1f, ", name, value);
}

static void
print_report(const struct run *run, struct reading from, struct reading to,
             double opening, int64_t rss_before, int64_t rss_after)
{
    const struct options *options = &run->options;
    double seconds = (double)(to.at_ns - from.at_ns) / 1e9;
    uint64_t messages = to.messages - from.messages;
    printf("{\"load\": \"%s\", \"connections\": %u, \"in_flight\": %u, "
           "\"payload\": %zu, \"rooms\": %u, \"namespaces\": %u, "
           "\"tls\": %s, \"warmup_seconds\": %.3f, \"opening_seconds\": %.3f, "
           "\"messages\": %llu, \"seconds\": %.3f, \"messages_per_second\": %.1f, ",
           options->scenario->name, options->connections, options->in_flight,
           options->payload, options->rooms, options->namespaces,
           options->tls ? "true" : "false", options->warmup, opening,
           (unsigned long long)messages, seconds, (double)messages / seconds);
    if (run->latency.count > 0) {
        printf("\"latency_us\": {");
        print_microseconds(run, "p50", 50);
        print_microseconds(run, "p90", 90);
        print_microseconds(run, "p99", 99);
        print_microseconds(run, "p99.9", 99.9);
        printf("\"max\": %.1f}, ", (double)run->latency.max / 1000.0);
    } else {
        printf("\"latency_us\": null, ");
    }
    if (options->pid != 0) {
        printf("\"server_cpu_seconds\": %.2f, \"server_rss_before\": %lld, "
               "\"server_rss_after\": %lld, ",
               to.server_cpu - from.server_cpu, (long long)rss_before,
               (long long)rss_after);
    }
    if (options->rate > 0) {
        printf("\"rate\": %.1f, \"load_lateness_us\": {\"p50\": %.1f, "
               "\"p99\": %.1f}, ",
               options->rate, (double)hist_percentile(&run->lateness, 50) / 1000.0,
               (double)hist_percentile(&run->lateness, 99) / 1000.0);
    }
    double share = (to.own_cpu - from.own_cpu) / seconds;
    if (options->rate > 0) {
        /* It polls all the time; what finds nothing is no work. */
        share = 1 - (double)(to.spun_ns - from.spun_ns) / 1e9 / seconds;
    }
    printf("\"load_cpu_percent\": %.1f}\n", 100.0 * share);
}

int
main(int argc, char **argv)
{
    struct run *run = allocate(1, sizeof(*run));
    parse_options(&run->options, argc, argv);
    run_prepare(run);

    uint64_t begun = run->now;
    int64_t rss_before = server_rss(run);
    open_everyone(run);
    double opening = (double)(run->now - begun) / 1e9;

    start_everyone(run);
    run_for(run, PHASE_WARMUP, run->options.warmup);

    hist_clear(&run->latency);
    hist_clear(&run->lateness);
    struct reading from = take_reading(run);
    run_for(run, PHASE_MEASURE, run->options.seconds);
    struct reading to = take_reading(run);
    int64_t rss_after = server_rss(run);
    struct hist measured = run->latency;

    drain(run);
    run->latency = measured;
    print_report(run, from, to, opening, rss_before, rss_after);
    return 0;
}

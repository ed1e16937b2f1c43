#include "load.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: load --port PORT --scenario NAME [options]\n"
    "\n"
    "  --host ADDRESS      a loopback address (127.0.0.1)\n"
    "  --port PORT         where the server listens\n"
    "  --pid PID           the server's process, to read its CPU time and memory\n"
    "  --scenario NAME     one of:";

static const char USAGE_REST[] =
    "\n"
    "  --connections N     clients (100)\n"
    "  --in-flight K       messages each may have in flight (1)\n"
    "  --payload BYTES     of each message, at least 16 (32)\n"
    "  --pending N         connections being opened at a time (64)\n"
    "  --rooms N           that every client joins (0; for room: 1)\n"
    "  --namespaces N      that every client connects to (1)\n"
    "  --rate R            messages per second in all, whatever is in flight, up to\n"
    "                      --in-flight each: an open loop (a closed one)\n"
    "  --tls               over TLS 1.3; the certificate is not verified\n"
    "  --deflate           the server compresses its messages: permessage-deflate\n"
    "                      without context takeover\n"
    "  --warmup SECONDS    before anything is counted (1)\n"
    "  --seconds SECONDS   that are counted, or more, until every client has had its\n"
    "                      answers twice (3)\n"
    "  --openssl           only print the version for --tls\n"
    "  --zlib              only print the version for --deflate\n"
    "\n"
    "Prints one JSON object. Exit code 1 and a message if the server answers wrongly,\n"
    "closes a connection, or makes no progress for 10 seconds.\n";

_Noreturn static void
print_usage(void)
{
    fputs(USAGE, stdout);
    for (const struct scenario *s = scenarios; s->name != NULL; s++) {
        printf(" %s", s->name);
    }
    fputs(USAGE_REST, stdout);
    exit(0);
}

static double
parse_number(const char *name, const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= least && value <= most)) {
        fail("--%s is %s, and must be from %.0f to %.0f", name, text, least, most);
    }
    return value;
}

static uint32_t
parse_integer(const char *name, const char *text, uint32_t least, uint32_t most)
{
    double value = parse_number(name, text, least, most);
    uint32_t whole = (uint32_t)value;
    if (value != (double)whole) {
        fail("--%s is %s, and must be a whole number", name, text);
    }
    return whole;
}

static struct in_addr
parse_host(const char *text)
{
    struct in_addr host;
    if (inet_pton(AF_INET, text, &host) != 1 || ntohl(host.s_addr) >> 24 != 127) {
        fail("--host is %s: load is only put on loopback addresses, 127.x.y.z", text);
    }
    return host;
}

void
parse_options(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"host", required_argument, NULL, 'h'},
        {"port", required_argument, NULL, 'p'},
        {"pid", required_argument, NULL, 'P'},
        {"scenario", required_argument, NULL, 's'},
        {"connections", required_argument, NULL, 'n'},
        {"in-flight", required_argument, NULL, 'k'},
        {"payload", required_argument, NULL, 'b'},
        {"pending", required_argument, NULL, 'o'},
        {"rooms", required_argument, NULL, 'r'},
        {"namespaces", required_argument, NULL, 'm'},
        {"rate", required_argument, NULL, 'R'},
        {"tls", no_argument, NULL, 'T'},
        {"deflate", no_argument, NULL, 'D'},
        {"warmup", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 't'},
        {"openssl", no_argument, NULL, 'S'},
        {"zlib", no_argument, NULL, 'Z'},
        {"help", no_argument, NULL, 'H'},
        {0},
    };
    int which, index = 0;
    *options = (struct options){
        .host = parse_host("127.0.0.1"),
        .connections = 100,
        .in_flight = 1,
        .pending = 64,
        .namespaces = 1,
        .payload = 32,
        .warmup = 1,
        .seconds = 3,
    };
    while ((which = getopt_long(argc, argv, "", known, &index)) != -1) {
        const char *name = known[index].name;
        switch (which) {
        case 'h':
            options->host = parse_host(optarg);
            break;
        case 'p':
            options->port = (int)parse_integer(name, optarg, 1, 65535);
            break;
        case 'P':
            options->pid = (int)parse_integer(name, optarg, 1, 1u << 30);
            break;
        case 's':
            options->scenario = find_scenario(optarg);
            if (options->scenario == NULL) {
                fail("--scenario is %s: not known", optarg);
            }
            break;
        case 'n':
            options->connections = parse_integer(name, optarg, 1, MAX_CONNECTIONS);
            break;
        case 'k':
            options->in_flight = parse_integer(name, optarg, 1, MAX_IN_FLIGHT);
            break;
        case 'b':
            options->payload = parse_integer(name, optarg, STAMP_LENGTH, MAX_PAYLOAD);
            break;
        case 'o':
            options->pending = parse_integer(name, optarg, 1, MAX_CONNECTIONS);
            break;
        case 'r':
            options->rooms = parse_integer(name, optarg, 0, MAX_ROOMS);
            break;
        case 'm':
            options->namespaces = parse_integer(name, optarg, 1, MAX_NAMESPACES);
            break;
        case 'R':
            options->rate = parse_number(name, optarg, 1, 1e7);
            break;
        case 'T':
            options->tls = true;
            break;
        case 'D':
            options->deflate = true;
            break;
        case 'w':
            options->warmup = parse_number(name, optarg, 0, 3600);
            break;
        case 't':
            options->seconds = parse_number(name, optarg, 0.1, 3600);
            break;
        case 'S':
            if (tls_version() == NULL) {
                fail("built without OpenSSL");
            }
            puts(tls_version());
            exit(0);
        case 'Z':
            if (deflate_version() == NULL) {
                fail("built without zlib");
            }
            puts(deflate_version());
            exit(0);
        case 'H':
            print_usage();
        default: /* getopt_long has said what is wrong */
            exit(1);
        }
    }
    if (options->scenario == NULL || options->port == 0 || optind < argc) {
        fail("--scenario and --port are needed; see --help");
    }
    if (options->rate > 0 && !options->scenario->paced) {
        fail("--rate: not with %s", options->scenario->name);
    }
    if (options->scenario->measures_opening) {
        /* Every client there is, is on its way in or out. */
        options->connections = options->pending;
    }
}

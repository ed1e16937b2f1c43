"""Breaks the headers of csrc/, one place at a time: the kept corpus has to find each.

    python -m tests.fuzz.broken [name...]

A harness that finds nothing proves nothing until it is seen to find something. Prints
what has not been found; the exit code is 1 if there is any.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from . import run

# (harness, what its header says, what a broken one says)
BROKEN = [
    ("scan", "(p[0] - '0') > 6", "(p[0] - '0') > 7"),
    ("scan", "i - start < 10", "i - start < 11"),
    ("scan", "i == n || p[i] != '-'", "p[i] != '-'"),
    ("scan", "while (i < n && p[i] != ',')", "while (i + 1 < n && p[i] != ',')"),
    ("scan", "h.nsp_size = i - start", "h.nsp_size = i - 1"),
    ("scan", "id > SF_MAX_ID", "id > SF_MAX_ID + 1"),
    ("scan", "if (i < n && sf_is_digit(p[i])) {", "if (sf_is_digit(p[i])) {"),
    # UTF-8: overlong forms, surrogates, beyond U+10FFFF, and the carried state.
    ("scan", "c >= 0xC2", "c >= 0xC0"),
    ("scan", "low = 0xA0", "low = 0x9F"),
    ("scan", "high = 0x9F", "high = 0xA0"),
    ("scan", "c <= 0xF4", "c <= 0xF5"),
    ("scan", "low = 0x90", "low = 0x80"),
    ("scan", "high = 0x8F", "high = 0x90"),
    ("scan", "state->need--;\n            state->low = 0x80;", "state->need--;"),
    ("scan", "if (state->need) {", "if (state->need && i > 1) {"),
    ("scan", "i + 16 <= n", "i + 15 <= n"),
    ("scan", "sf_block_load(bytes + i)", "sf_block_load(bytes)"),
    ("scan", "i += ascii;", "i += 16;"),
    ("json", "slash = word ^ ones * '\\\\'", "slash = quote"),
    ("json", "(word - ones * ' ')", "(word - ones * 0x1F)"),
    ("json", "return n - 16 + sf_block_first", "return i + sf_block_first"),
    ("json", "load(p + n - 16)", "load(p + i - 16)"),
    ("json", "if (i != 0 && i < n) {", "if (i < n) {"),
    ("json", "n >= 8 && n < 16", "n >= 7 && n < 16"),
    ("json", "sf_word_load(p + n - 8)", "sf_word_load(p)"),
    ("json", "n >= 4 && n < 8", "n >= 3 && n < 8"),
    ("json", "p + n - 4, 4", "p, 4"),
    ("json", "i + 8 <= n", "i + 7 <= n"),
    ("json", "i + 64 <= n", "i + 48 <= n"),
    ("json", "i + 16 <= n", "i + 15 <= n"),
    *(("json", f"load(p + i + {at})", "load(p + i)") for at in (16, 32, 48)),
    ("json", "return i + found", "return i"),
    ("json", "p[i] >= ' '", "p[i] > ' '"),
    ("json", "(unsigned char)p[i] < 0x80", "1"),
    ("json", "count == SF_MAX_ITEMS ||", "count > SF_MAX_ITEMS ||"),
    ("json", "i == n || p[i] != '\"'", "p[i] != '\"'"),
    ("json", "n - i < SF_PLACEHOLDER_SIZE ||", "n - i < SF_PLACEHOLDER_NUM ||"),
    ("json", "'0') > 9", "'0') > 8"),
    ("json", "i + 1 == n ? count : 0", "count"),
    ("block", "cmplt_epi8(block, _mm_set1_epi8(' '))", "cmplt_epi8(block, block)"),
    ("block", "_mm_set1_epi8('\"')", "_mm_set1_epi8('\\\\')"),
    ("block", "_mm_set1_epi8('\\\\')", "_mm_set1_epi8('\"')"),
    (
        "block",
        "? (size_t)__builtin_ctz(bits) : 16",
        "? (size_t)__builtin_ctz(bits) : 0",
    ),
    ("block", "_mm_set1_epi8(0x1F)", "_mm_set1_epi8(0x1E)"),
    ("block", "_mm_set1_epi8(0x7F)", "_mm_set1_epi8(0x7E)"),
    (
        "block",
        "delete = _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7F))",
        "delete = _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7E))",
    ),
    ("block", "_mm_set1_epi8('#')", "_mm_set1_epi8('$')"),
    ("block", "_mm_set1_epi8('!')", "_mm_set1_epi8(' ')"),
    ("block", "_mm_movemask_epi8(block) != 0", "_mm_movemask_epi8(block) > 1"),
    ("block", "_mm_storeu_si128", "_mm_store_si128"),
    ("block", "_mm_set1_epi32((int)word)", "_mm_set1_epi8((char)word)"),
    ("block", "_mm_xor_si128(a, b)", "_mm_or_si128(a, b)"),
    ("frame", "if (n < 2)", "if (n < 1)"),
    ("frame", "p[0] & 0x30", "p[0] & 0x20"),
    ("frame", "(f.opcode == 0 || f.opcode >= 8)", "f.opcode >= 8"),
    ("frame", "(f.opcode & 7) > 2", "(f.opcode & 7) > 3"),
    ("frame", "!f.fin || f.length > 125", "f.length > 125"),
    ("frame", "f.opcode >= 8 && (!f.fin || f.length > 125)", "f.opcode > 8 && !f.fin"),
    ("frame", "if (n < 4)", "if (n < 3)"),
    ("frame", "if (n < 10)", "if (n < 9)"),
    ("frame", "f.length < 126)", "f.length < 125)"),
    ("frame", "f.length < 65536", "f.length < 65535"),
    ("frame", "|| f.length >> 63", ""),
    ("frame", "n < head + 4", "n < head + 3"),
    ("frame", "mask[i & 3]", "mask[i & 1]"),
    ("frame", "i + 8 <= n", "i + 8 < n + 2"),
    ("frame", "i + 16 <= n", "i + 15 <= n"),
    ("frame", "sf_block_load(payload + i)", "sf_block_load(payload)"),
    ("frame", "(uint64_t)key32 << 32 | key32", "key32"),
    ("frame", "payload < 126 ? 2", "payload < 127 ? 2"),
    ("frame", "if (payload < 126) {", "if (payload < 125) {"),
    ("frame", "payload <= 0xFFFF) {", "payload < 0xFFFF) {"),
    ("frame", "shift = 56", "shift = 48"),
    ("http", "n > 5 &&", "n > 3 &&"),
    ("http", "if (p[i] != '/') {", "if (0) {"),
    ("http", "p[i] < 0x7F && p[i] != '#'", "p[i] != '#'"),
    ("http", " && p[i] != '#'", ""),
    ("http", "if (n - i < 11 ||", "if ("),
    ("http", "if (name_size == 0 ||", "if ("),
    ("http", "i == n || p[i] != ':'", "p[i] != ':'"),
    (
        "http",
        "(p[i] == ' ' || p[i] == '\\t')) i++;\n        value",
        "0) i++;\n        value",
    ),
    ("http", ">= ' ' && p[i] != 0x7F", ">= ' '"),
    (
        "http",
        ">= ' ' && p[i] != 0x7F) || p[i] == '\\t'",
        ">= ' ' && p[i] != 0x7F) || p[i] == '\\r'",
    ),
    ("http", "control(sf_block_load(p + i)", "control(sf_block_load(p)"),
    ("http", "no_target(sf_block_load(p + i)", "no_target(sf_block_load(p)"),
    ("http", "i + 16 <= n", "i + 15 <= n"),
    ("http", "found == 16 &&", ""),
    # The same of values, behind the comment on tabs.
    (
        "http",
        "goes on from. */\n    for (; found == 16 && i + 16 <= n",
        "goes on from. */\n    for (; found == 16 && i + 15 <= n",
    ),
    (
        "http",
        "goes on from. */\n    for (; found == 16 &&",
        "goes on from. */\n    for (;",
    ),
    ("http", "sf_tchar[(unsigned char)name[0]] * 5", "(unsigned char)name[0] * 5"),
    ("http", "r.names |= ", "r.names = "),
    ("http", "hosts += ", "hosts |= "),
    ("http", 'name_size, "expect")', 'name_size, "expecT")'),
    ("http", "websocket || !SF_IS", "!SF_IS"),
    ("http", "if (found < 0) {", "if (found < -1) {"),
    ("http", "options |= found", "options = found"),
    ("http", "lengths++ || value_size == 0", "value_size == 0"),
    ("http", "value_size == 0 || value_size > 9", "value_size > 9"),
    ("http", "value_size > 9", "value_size > 10"),
    ("http", "p[k] < '0' ||", ""),
    ("http", '"proxy-connection"', '"proxy_connection"'),
    ("http", '"transfer-encoding"', '"transfer_encoding"'),
    ("http", "r.head > limit", "r.head >= limit"),
    ("http", "hosts != 1", "hosts < 1"),
    ("http", "websocket != !!(options & SF_UPGRADE) ||", "websocket < options / 2 ||"),
    ("http", "websocket != !!(options & SF_UPGRADE) ||", "websocket > options / 2 ||"),
    ("http", "r.length != 0 : websocket || !lengths", "0 : websocket || !lengths"),
    ("http", "websocket || !lengths", "websocket"),
    ("http", "websocket || !lengths", "!lengths"),
    ("http", "n - r.head < r.length", "n - r.head + 1 < r.length"),
    ("http", "['~'] = '~',", ""),
    ("http", "['Q'] = 'q'", "['Q'] = 'Q'"),
    ("http", "while (i <= n) {", "while (i < n) {"),
    ("http", "end > start && (p[end - 1] == ' '", "end > start && (0"),
    ("http", "(size_t)(eol - p) > name_size &&", ""),
    ("http", "p[name_size] == ':' &&", ""),
    ("http", "while (stop > value && (", "while (0 && ("),
    ("http", "p = eol + 2;", "p = eol + 3;"),
    ("http", "i <= size; i++", "i < size && i < 1; i++"),
    ("http", "while (stop > start && (", "while (0 && ("),
    ("http", "size >= name_size && memcmp(p", "memcmp(p"),
    ("http", "if (p[name_size] == '=') {", "if (1) {"),
    ("http", "if (size == name_size) {", "if (0) {"),
    ("http", "p = stop + 1;", "p = stop + 2;"),
    ("number", "} while (n);", "} while (n > 9);"),
    ("number", "n % 10", "n % 16"),
    ("number", "SF_NUMBER_SIZE 20", "SF_NUMBER_SIZE 19"),
    ("base64", "(n + 2) / 3 * 4", "(n + 3) / 3 * 4"),
    ("base64", "i + 2 < n; i += 3", "i + 1 < n; i += 3"),
    ("base64", "v >> 12 & 63", "v >> 12 & 31"),
    ("base64", "xyz0123456789+/", "xyz0123456789-_"),
    ("base64", "i + 1 < n ? alphabet", "i + 2 < n ? alphabet"),
    ("base64", "c <= 'z') return", "c < 'z') return"),
    ("base64", "if (n % 4 == 0) {", "if (n % 4 != 1) {"),
    ("base64", "if (n && p[n - 1] == '=') n--;\n        if", "if"),
    ("base64", "if (rest == 1) {", "if (0) {"),
    ("base64", "if (d < 0) {", "if (0) {"),
    ("base64", "(char)(v >> 10)", "(char)(v >> 8)"),
    ("base64", "c == '\\t') continue", "0) continue"),
    ("base64", "c == '_' ? '/'", "c == '_' ? '+'"),
    ("base64", "while (out > start && out[-1] == '=') out--;", ""),
    ("socket", "MSG_NOSIGNAL | MSG_DONTWAIT | flags", "MSG_DONTWAIT | flags"),
    (
        "socket",
        "errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -1",
        "-1",
    ),
    ("socket", "? 0 : -1", "? 0 : 0"),
    ("socket", "return sent;", "return sent + 1;"),
    ("socket", "send(fd, p, n,", "send(fd, p, n + 1,"),
    ("socket", "return n;\n}\n\n#endif\n#endif", "return 0;\n}\n\n#endif\n#endif"),
    ("uring", "MSG_DONTWAIT | MSG_NOSIGNAL", "MSG_NOSIGNAL"),
    ("uring", "array[i] = i;", "array[i] = 0;"),
    ("uring", "user_data = tag;", "user_data = tag + 1;"),
    ("uring", "user_data = tag;", "user_data = (uint32_t)tag;"),
    ("uring", "length = (uint32_t)n;", "length = (uint32_t)n + 1;"),
    ("uring", "ring->tail++;", ""),
    ("uring", "ring->queued = 0;\n    return taken;", "return taken;"),
    ("uring", "head + 1, __ATOMIC_RELEASE", "head, __ATOMIC_RELEASE"),
    ("uring", "case -EAGAIN:", "case -ERANGE:"),
    ("uring", "found->result < 0 ? -1 : ", ""),
]


def complaint(name: str, good: str, bad: str, folder: Path) -> str:
    """What the corpus finds wrong once the header says `bad`; empty for nothing.

    Raises ValueError if the header does not say `good`.
    """
    header = f"sf_{name}.h"
    text = (run.HEADERS / header).read_text()
    if good not in text:
        raise ValueError(f"{header} does not say {good!r}: mend BROKEN")
    (folder / header).write_text(text.replace(good, bad, 1))
    for variant in run.VARIANTS:
        done = run.replay(run.build(name, folder, headers=folder, variant=variant))
        if done.returncode:
            return run.complaint(done)
    return ""


def main() -> int:
    chosen = [row for row in BROKEN if row[0] in sys.argv[1:] or not sys.argv[1:]]
    missed = 0
    for name, good, bad in chosen:
        with tempfile.TemporaryDirectory() as folder:
            if not complaint(name, good, bad, Path(folder)):
                missed += 1
                print(f"{name}: not found: {good!r} -> {bad!r}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} found")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())

#include "floor.h"

#include "../../../csrc/sf_frame.h"

enum { LARGEST_HEAD = 10 };

void
frame_append(struct buffer *buffer, int opcode, const char *p, size_t n)
{
    char *frame = buffer_reserve(buffer, LARGEST_HEAD + n);
    char *body = sf_frame_head(frame, opcode, n);
    memcpy(body, p, n);
    buffer->length += (size_t)(body + n - frame);
}

static void
on_text(struct connection *connection, char *p, size_t n)
{
    if (n > 1 && *p == '4') {
        on_packet((struct peer){connection, NULL}, p, n);
    } else if (n == 1 && *p == '2') {
        frame_append(&answers, SF_TEXT, "3", 1);
    }
}

/* One frame, which is a message. */
size_t
on_websocket(struct connection *connection, char *p, size_t n)
{
    sf_frame frame = sf_scan_frame(p, n);
    if (frame.error || (frame.head && !frame.fin)) {
        connection->ended = true;
        return 0;
    }
    if (frame.head == 0 || n - frame.head < frame.length) {
        return 0;
    }
    char *payload = p + frame.head;
    sf_unmask(payload, payload, frame.length, frame.mask);
    switch (frame.opcode) {
    case SF_TEXT:
        on_text(connection, payload, frame.length);
        break;
    case SF_BINARY:
        on_attachment(payload, frame.length);
        break;
    case SF_PING:
        frame_append(&answers, SF_PONG, payload, frame.length);
        break;
    case SF_CLOSE:
        frame_append(&answers, SF_CLOSE, payload, frame.length);
        connection->ended = true;
        break;
    }
    return frame.head + frame.length;
}

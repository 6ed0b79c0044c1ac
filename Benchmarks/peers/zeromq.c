// ZeroMQ: PUB/SUB over TCP that drops nothing (the publisher waits where a subscriber is behind), REQ/REP for round trips.
#include <zmq.h>

#include "bench.h"

static void *context, *socket_;

static void *open_socket(int type, const char *verb, long port) {
  char address[128];
  snprintf(address, sizeof address, "tcp://%s:%ld", host(), port);
  void *opened = zmq_socket(context, type);
  int on = 1;
  if (type == ZMQ_XPUB) {
    zmq_setsockopt(opened, ZMQ_XPUB_NODROP, &on, sizeof on);
    // Each subscriber is told, although all subscribe to the same.
    zmq_setsockopt(opened, ZMQ_XPUB_VERBOSE, &on, sizeof on);
  }
  if (type == ZMQ_SUB) zmq_setsockopt(opened, ZMQ_SUBSCRIBE, "", 0);
  int failed = strcmp(verb, "bind") ? zmq_connect(opened, address) : zmq_bind(opened, address);
  if (failed) fail(verb, zmq_strerror(zmq_errno()));
  return opened;
}

static void send_message(const void *message, size_t size) {
  if (zmq_send(socket_, message, size, 0) < 0) fail("send", zmq_strerror(zmq_errno()));
}

static void trip(const void *message, size_t size) {
  char answer[1 << 16];
  send_message(message, size);
  if (zmq_recv(socket_, answer, sizeof answer, 0) < 0) fail("receive", zmq_strerror(zmq_errno()));
}

int main(int argc, char **argv) {
  if (argc < 2) fail("missing argument", "pub, sub, ping or pong");
  context = zmq_ctx_new();
  if (!strcmp(argv[1], "pub")) {
    long size = argument(argc, argv, 2, "SIZE"), subscribers = argument(argc, argv, 4, "SUBSCRIBERS");
    socket_ = open_socket(ZMQ_XPUB, "bind", argument(argc, argv, 5, "PORT"));
    char subscription[16];
    for (long i = 0; i < subscribers; i++) zmq_recv(socket_, subscription, sizeof subscription, 0);
    publish_all((size_t)size, seconds_argument(argc, argv, 3), (int)subscribers, send_message, NULL);
  } else if (!strcmp(argv[1], "sub")) {
    socket_ = open_socket(ZMQ_SUB, "connect", argument(argc, argv, 3, "PORT"));
    Tally tally = {0};
    zmq_msg_t message;
    zmq_msg_init(&message);
    do {
      if (zmq_msg_recv(&message, socket_, 0) < 0) fail("receive", zmq_strerror(zmq_errno()));
    } while (!count(&tally, zmq_msg_data(&message), zmq_msg_size(&message)));
    report_sub(&tally);
  } else if (!strcmp(argv[1], "ping")) {
    socket_ = open_socket(ZMQ_REQ, "connect", argument(argc, argv, 4, "PORT"));
    ping_all((size_t)argument(argc, argv, 2, "SIZE"), seconds_argument(argc, argv, 3), trip);
  } else if (!strcmp(argv[1], "pong")) {
    socket_ = open_socket(ZMQ_REP, "bind", argument(argc, argv, 2, "PORT"));
    char message[1 << 16];
    for (;;) {
      int size = zmq_recv(socket_, message, sizeof message, 0);
      if (size < 0) break;
      send_message(message, (size_t)size);
    }
  } else {
    fail("unknown", argv[1]);
  }
  zmq_close(socket_);
  zmq_ctx_term(context);
  return 0;
}

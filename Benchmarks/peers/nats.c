// NATS: core, by nats-server. The server drops a subscriber that is too far behind: so the subscribers tell how far they are.
#include <nats/nats.h>

#include "bench.h"

static natsConnection *connection;
static natsSubscription *replies;

static void check(natsStatus status, const char *what) {
  if (status != NATS_OK) fail(what, natsStatus_GetText(status));
}

static void send_message(const void *message, size_t size) {
  check(natsConnection_Publish(connection, "bench.data", message, (int)size), "publish");
}

static void wait_for_credit(void) {
  check(natsConnection_Flush(connection), "flush");
}

static void note_credit(natsConnection *nc, natsSubscription *sub, natsMsg *message, void *closure) {
  (void)nc, (void)sub, (void)closure;
  uint64_t told[2];
  memcpy(told, natsMsg_GetData(message), sizeof told);
  if (told[0] < MAX_SUBSCRIBERS) atomic_store(&credits[told[0]], told[1]);
  natsMsg_Destroy(message);
}

static void tell(uint64_t index, uint64_t received) {
  uint64_t told[2] = {index, received};
  check(natsConnection_Publish(connection, "bench.credit", told, sizeof told), "publish");
  // What is published leaves at once only when it is flushed.
  check(natsConnection_FlushTimeout(connection, 10000), "flush");
}

static void trip(const void *message, size_t size) {
  natsMsg *answer;
  send_message(message, size);
  check(natsSubscription_NextMsg(&answer, replies, 10000), "receive");
  natsMsg_Destroy(answer);
}

int main(int argc, char **argv) {
  if (argc < 3) fail("missing argument", "pub, sub, ping or pong, and what belongs to it");
  char url[128];
  snprintf(url, sizeof url, "nats://%s:%s", host(), argv[argc - 1]);
  natsOptions *options;
  check(natsOptions_Create(&options), "options");
  check(natsOptions_SetURL(options, url), "options");
  // A lone message goes at once in both directions.
  int is_trip = argv[1][0] == 'p' && argv[1][1] != 'u';
  check(natsOptions_SetSendAsap(options, is_trip), "options");
  check(natsConnection_Connect(&connection, options), "connect");
  natsSubscription *subscription;
  if (!strcmp(argv[1], "pub")) {
    long size = argument(argc, argv, 2, "SIZE"), subscribers = argument(argc, argv, 4, "SUBSCRIBERS");
    for (long i = 0; i < subscribers; i++) atomic_store(&credits[i], UINT64_MAX);
    check(natsConnection_Subscribe(&subscription, connection, "bench.credit", note_credit, NULL), "subscribe");
    check(natsConnection_Flush(connection), "flush");
    for (long i = 0; i < subscribers; i++)
      while (atomic_load(&credits[i]) == UINT64_MAX) usleep(1000);
    publish_all((size_t)size, seconds_argument(argc, argv, 3), (int)subscribers, send_message, wait_for_credit);
    check(natsConnection_Flush(connection), "flush");
  } else if (!strcmp(argv[1], "sub")) {
    uint64_t index = (uint64_t)argument(argc, argv, 2, "INDEX"), told = 0;
    check(natsConnection_SubscribeSync(&subscription, connection, "bench.data"), "subscribe");
    check(natsSubscription_SetPendingLimits(subscription, -1, -1), "limits");
    check(natsConnection_Flush(connection), "flush");
    Tally tally = {0};
    natsMsg *message;
    for (;;) {
      natsStatus status = natsSubscription_NextMsg(&message, subscription, tally.received ? 10000 : 20);
      if (status == NATS_TIMEOUT && tally.received == 0) {
        tell(index, 0);  // the publisher may not have been there
        continue;
      }
      check(status, "receive");
      size_t size = (size_t)natsMsg_GetDataLength(message);
      int is_over = count(&tally, natsMsg_GetData(message), size);
      natsMsg_Destroy(message);
      if (is_over) {
        tell(index, tally.received);
        break;
      }
      if (tally.received - told >= window_of(size) / 4) tell(index, told = tally.received);
    }
    report_sub(&tally);
  } else if (!strcmp(argv[1], "ping")) {
    check(natsConnection_SubscribeSync(&replies, connection, "bench.reply"), "subscribe");
    check(natsConnection_Flush(connection), "flush");
    ping_all((size_t)argument(argc, argv, 2, "SIZE"), seconds_argument(argc, argv, 3), trip);
  } else if (!strcmp(argv[1], "pong")) {
    check(natsConnection_SubscribeSync(&subscription, connection, "bench.data"), "subscribe");
    natsMsg *message;
    while (natsSubscription_NextMsg(&message, subscription, 60000) == NATS_OK) {
      check(natsConnection_Publish(connection, "bench.reply", natsMsg_GetData(message), natsMsg_GetDataLength(message)), "publish");
      natsMsg_Destroy(message);
    }
  } else {
    fail("unknown", argv[1]);
  }
  return 0;
}

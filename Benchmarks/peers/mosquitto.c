// mosquitto: QoS 0, 1 or 2 (the environment's QOS), by its broker. The broker drops what it cannot keep of QoS 0: so the subscribers
// tell how far they are.
#include <mosquitto.h>
#include <pthread.h>

#include "bench.h"

static struct mosquitto *client;
static int qos;
static const char *wanted;
static Tally tally;
static uint64_t told, own_index;
static _Atomic int is_over, has_answer, is_subscribed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static void check(int status, const char *what) {
  if (status != MOSQ_ERR_SUCCESS) fail(what, mosquitto_strerror(status));
}

static void send_message(const void *message, size_t size) {
  check(mosquitto_publish(client, NULL, "bench/data", (int)size, message, qos, false), "publish");
}

static void wait_for_credit(void) { usleep(50); }

static void tell(uint64_t received) {
  uint64_t what[2] = {own_index, received};
  check(mosquitto_publish(client, NULL, "bench/credit", sizeof what, what, 0, false), "publish");
}

static void signal_flag(_Atomic int *flag) {
  pthread_mutex_lock(&lock);
  atomic_store(flag, 1);
  pthread_cond_signal(&condition);
  pthread_mutex_unlock(&lock);
}

static void wait_for_flag(_Atomic int *flag) {
  pthread_mutex_lock(&lock);
  while (!atomic_load(flag)) pthread_cond_wait(&condition, &lock);
  atomic_store(flag, 0);
  pthread_mutex_unlock(&lock);
}

static void on_subscribe(struct mosquitto *m, void *closure, int id, int count_, const int *granted) {
  (void)m, (void)closure, (void)id, (void)count_, (void)granted;
  signal_flag(&is_subscribed);
}

static void on_credit(const struct mosquitto_message *message) {
  uint64_t what[2];
  memcpy(what, message->payload, sizeof what);
  if (what[0] < MAX_SUBSCRIBERS) atomic_store(&credits[what[0]], what[1]);
}

static void on_message(struct mosquitto *m, void *closure, const struct mosquitto_message *message) {
  (void)m, (void)closure;
  if (!strcmp(wanted, "bench/credit")) return on_credit(message);
  if (!strcmp(wanted, "bench/reply")) return signal_flag(&has_answer);
  size_t size = (size_t)message->payloadlen;
  if (own_index == UINT64_MAX) {  // pong
    check(mosquitto_publish(client, NULL, "bench/reply", message->payloadlen, message->payload, qos, false), "publish");
    return;
  }
  if (count(&tally, message->payload, size)) {
    tell(tally.received);
    return signal_flag(&is_over);
  }
  if (tally.received - told >= window_of(size) / 4) tell(told = tally.received);
}

static void trip(const void *message, size_t size) {
  send_message(message, size);
  wait_for_flag(&has_answer);
}

int main(int argc, char **argv) {
  if (argc < 3) fail("missing argument", "pub, sub, ping or pong, and what belongs to it");
  qos = getenv("QOS") ? atoi(getenv("QOS")) : 0;
  int is_pub = !strcmp(argv[1], "pub"), is_ping = !strcmp(argv[1], "ping"), is_sub = !strcmp(argv[1], "sub");
  wanted = is_pub ? "bench/credit" : is_ping ? "bench/reply" : "bench/data";
  own_index = is_sub ? (uint64_t)argument(argc, argv, 2, "INDEX") : UINT64_MAX;
  mosquitto_lib_init();
  client = mosquitto_new(NULL, true, NULL);
  mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_max_inflight_messages_set(client, 0);
  mosquitto_message_callback_set(client, on_message);
  mosquitto_subscribe_callback_set(client, on_subscribe);
  check(mosquitto_connect(client, host(), (int)argument(argc, argv, argc - 1, "PORT"), 60), "connect");
  check(mosquitto_loop_start(client), "loop");
  check(mosquitto_subscribe(client, NULL, wanted, is_pub ? 0 : qos), "subscribe");
  wait_for_flag(&is_subscribed);
  if (is_pub) {
    long subscribers = argument(argc, argv, 4, "SUBSCRIBERS");
    for (long i = 0; i < subscribers; i++) atomic_store(&credits[i], UINT64_MAX);
    for (long i = 0; i < subscribers; i++)
      while (atomic_load(&credits[i]) == UINT64_MAX) usleep(1000);
    publish_all((size_t)argument(argc, argv, 2, "SIZE"), seconds_argument(argc, argv, 3), (int)subscribers, send_message,
                wait_for_credit);
    mosquitto_disconnect(client);
    mosquitto_loop_stop(client, false);
  } else if (is_sub) {
    // The publisher may not have been there.
    pthread_mutex_lock(&lock);
    while (!atomic_load(&is_over)) {
      struct timespec until;
      clock_gettime(CLOCK_REALTIME, &until);
      until.tv_nsec += 20000000;
      if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
      pthread_cond_timedwait(&condition, &lock, &until);
      if (tally.received == 0) tell(0);
    }
    pthread_mutex_unlock(&lock);
    report_sub(&tally);
    mosquitto_disconnect(client);
    mosquitto_loop_stop(client, false);
  } else if (is_ping) {
    ping_all((size_t)argument(argc, argv, 2, "SIZE"), seconds_argument(argc, argv, 3), trip);
  } else {
    for (;;) pause();
  }
  return 0;
}

// Bare UDP sockets, as the limit: no protocol, nothing repeated. The stream goes in segmented sends (GSO) of datagrams of SEGMENT
// bytes (environment, 1,472 by default) and is received joined (GRO); what the receiver's buffer does not hold is lost. Round trips by blocking
// sockets, or polling (environment POLL=1). Who sends first does so to BENCH_HOST, loopback otherwise.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "bench.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define LARGEST_SEND 65507
#define MOST_SEGMENTS 64
#define SLOTS 16
#define SLOT_BYTES 65536
/// What tells the receiver that it is over is sent so often, as it may be lost.
#define GOODBYES 20

static struct sockaddr_in peer_at(long port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host(), &address.sin_addr) != 1) fail("BENCH_HOST", "an IPv4 address");
  return address;
}

static int open_socket(long port) {
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (s < 0 || bind(s, (struct sockaddr *)&address, sizeof address) < 0) fail("bind", "a UDP socket");
  int bytes = 4 << 20;
  if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  return s;
}

static void publish(long segment, double seconds, long port) {
  int s = open_socket(0);
  struct sockaddr_in address = peer_at(port);
  long count = LARGEST_SEND / segment;
  if (count > MOST_SEGMENTS) count = MOST_SEGMENTS;
  char *buffer = calloc(1, SLOT_BYTES);
  struct iovec vector = {buffer, (size_t)(count * segment)};
  char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
  struct msghdr header = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &vector, .msg_iovlen = 1};
  if (count > 1) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    struct cmsghdr *item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = IPPROTO_UDP;
    item->cmsg_type = UDP_SEGMENT;
    item->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t bytes = (uint16_t)segment;
    memcpy(CMSG_DATA(item), &bytes, sizeof bytes);
  }
  uint64_t sent = 0, start = now_ns(), end = start + (uint64_t)(seconds * 1e9);
  double cpu = processor_seconds();
  while (now_ns() < end)
    if (sendmsg(s, &header, 0) > 0) sent += (uint64_t)count;
  double took = (double)(now_ns() - start) / 1e9, used = processor_seconds() - cpu;
  for (int i = 0; i < GOODBYES; i++) {
    usleep(10000);
    sendto(s, buffer, 1, 0, (struct sockaddr *)&address, sizeof address);
  }
  report_pub(sent, took, used);
}

static void subscribe(long segment, long port) {
  int s = open_socket(port), on = 1;
  if (setsockopt(s, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0) fail("UDP_GRO", "refused");
  char *buffer = malloc((size_t)SLOTS * SLOT_BYTES);
  struct mmsghdr messages[SLOTS];
  struct iovec vectors[SLOTS];
  char controls[SLOTS][64];
  Tally tally = {0};
  for (;;) {
    for (int i = 0; i < SLOTS; i++) {
      vectors[i] = (struct iovec){buffer + (size_t)i * SLOT_BYTES, SLOT_BYTES};
      messages[i].msg_hdr = (struct msghdr){
          .msg_iov = &vectors[i], .msg_iovlen = 1, .msg_control = controls[i], .msg_controllen = sizeof controls[i]};
    }
    int count = recvmmsg(s, messages, SLOTS, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) {
      size_t bytes = messages[i].msg_len;
      if (bytes == 1 && tally.received) return report_sub(&tally);
      if (tally.received == 0) tally.first = now_ns(), tally.cpu = processor_seconds();
      tally.received += bytes / (size_t)segment;
      tally.bytes += bytes;
    }
    tally.last = now_ns();
  }
}

static int trip_socket;
static struct sockaddr_in trip_peer;
static int trip_flags;

static void trip(const void *message, size_t size) {
  char answer[SLOT_BYTES];
  sendto(trip_socket, message, size, 0, (struct sockaddr *)&trip_peer, sizeof trip_peer);
  while (recvfrom(trip_socket, answer, sizeof answer, trip_flags, NULL, NULL) < 0) {}
}

static void echo(long port) {
  int s = open_socket(port);
  char buffer[SLOT_BYTES];
  struct sockaddr_in peer;
  for (;;) {
    socklen_t length = sizeof peer;
    ssize_t bytes = recvfrom(s, buffer, sizeof buffer, trip_flags, (struct sockaddr *)&peer, &length);
    if (bytes > 0) sendto(s, buffer, (size_t)bytes, 0, (struct sockaddr *)&peer, length);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) fail("missing argument", "pub, sub, ping or pong");
  long segment = getenv("SEGMENT") ? atol(getenv("SEGMENT")) : 1472;
  if (segment < 2 || segment > LARGEST_SEND) fail("SEGMENT", "2 to 65507 bytes");
  trip_flags = getenv("POLL") ? MSG_DONTWAIT : 0;
  if (!strcmp(argv[1], "pub")) {
    publish(segment, seconds_argument(argc, argv, 3), argument(argc, argv, 5, "PORT"));
  } else if (!strcmp(argv[1], "sub")) {
    subscribe(segment, argument(argc, argv, 3, "PORT"));
  } else if (!strcmp(argv[1], "ping")) {
    trip_socket = open_socket(0);
    trip_peer = peer_at(argument(argc, argv, 4, "PORT"));
    ping_all((size_t)argument(argc, argv, 2, "SIZE"), seconds_argument(argc, argv, 3), trip);
  } else if (!strcmp(argv[1], "pong")) {
    echo(argument(argc, argv, 2, "PORT"));
  } else {
    fail("unknown", argv[1]);
  }
  return 0;
}

#define _GNU_SOURCE
#include "CRawSockets.h"

#ifdef __linux__
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_socket(struct sockaddr_in *address) {
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof *address;
  if (s < 0 || bind(s, (struct sockaddr *)address, length) < 0) fail("bind");
  if (getsockname(s, (struct sockaddr *)address, &length) < 0) fail("getsockname");
  int bytes = 4 << 20;
  if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  struct timeval timeout = {.tv_usec = 100000};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  return s;
}

struct side {
  int socket;
  int size;
  bool offload;
  atomic_bool stop;
  uint64_t received;
};

static void *echo(void *context) {
  struct side *side = context;
  char buffer[65536];
  struct sockaddr_in peer;
  while (!atomic_load(&side->stop)) {
    socklen_t length = sizeof peer;
    ssize_t bytes = recvfrom(side->socket, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length);
    if (bytes > 0) sendto(side->socket, buffer, (size_t)bytes, 0, (struct sockaddr *)&peer, length);
  }
  return NULL;
}

int raw_round_trips(int size, uint64_t nanoseconds, uint32_t *samples, int capacity) {
  struct sockaddr_in near_address, far_address;
  int near = open_socket(&near_address);
  struct side side = {.socket = open_socket(&far_address)};
  pthread_t thread;
  pthread_create(&thread, NULL, echo, &side);
  char buffer[65536] = {0};
  int count = 0;
  uint64_t end = now() + nanoseconds;
  for (uint64_t start = now(); start < end && count < capacity; start = now()) {
    sendto(near, buffer, (size_t)size, 0, (struct sockaddr *)&far_address, sizeof far_address);
    if (recvfrom(near, buffer, sizeof buffer, 0, NULL, NULL) > 0) samples[count++] = (uint32_t)(now() - start);
  }
  atomic_store(&side.stop, true);
  pthread_join(thread, NULL);
  close(near);
  close(side.socket);
  return count;
}

enum { BATCH = 64, SLOTS = 16 };

static void *count_received(void *context) {
  struct side *side = context;
  size_t slot = 65536;
  char *buffer = malloc(SLOTS * slot);
  struct mmsghdr *messages = calloc(SLOTS, sizeof *messages);
  struct iovec vectors[SLOTS];
  char controls[SLOTS][64];
  while (!atomic_load(&side->stop)) {
    for (int i = 0; i < SLOTS; i++) {
      vectors[i] = (struct iovec){buffer + (size_t)i * slot, slot};
      messages[i].msg_hdr = (struct msghdr){
          .msg_iov = &vectors[i], .msg_iovlen = 1, .msg_control = controls[i], .msg_controllen = sizeof controls[i]};
    }
    int count = recvmmsg(side->socket, messages, SLOTS, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++) side->received += messages[i].msg_len / (unsigned)side->size;
  }
  free(buffer);
  free(messages);
  return NULL;
}

struct raw_rate raw_one_way(int size, uint64_t nanoseconds, bool offload) {
  struct sockaddr_in near_address, far_address;
  int near = open_socket(&near_address);
  struct side side = {.socket = open_socket(&far_address), .size = size, .offload = offload};
  int on = 1;
  if (offload && setsockopt(side.socket, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0) fail("UDP_GRO");
  pthread_t thread;
  pthread_create(&thread, NULL, count_received, &side);

  int per_message = offload ? 65507 / size : 1;
  if (per_message > 64) per_message = 64;
  char *buffer = calloc(1, 65536);
  struct iovec vector = {buffer, (size_t)(per_message * size)};
  char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
  struct msghdr header = {
      .msg_name = &far_address, .msg_namelen = sizeof far_address, .msg_iov = &vector, .msg_iovlen = 1};
  if (per_message > 1) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    struct cmsghdr *segment = CMSG_FIRSTHDR(&header);
    segment->cmsg_level = IPPROTO_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t bytes = (uint16_t)size;
    memcpy(CMSG_DATA(segment), &bytes, sizeof bytes);
  }
  struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH; i++) messages[i].msg_hdr = header;
  int batch = per_message > 1 ? 1 : BATCH;
  struct raw_rate rate = {0};
  uint64_t end = now() + nanoseconds;
  while (now() < end) {
    int count = sendmmsg(near, messages, (unsigned)batch, 0);
    if (count > 0) rate.sent += (uint64_t)(count * per_message);
  }
  atomic_store(&side.stop, true);
  pthread_join(thread, NULL);
  rate.received = side.received;
  free(buffer);
  close(near);
  close(side.socket);
  return rate;
}
#else
int raw_round_trips(int size, uint64_t nanoseconds, uint32_t *samples, int capacity) { return 0; }
struct raw_rate raw_one_way(int size, uint64_t nanoseconds, bool offload) { return (struct raw_rate){0}; }
#endif

#pragma once
#include <stdbool.h>
#include <stdint.h>

struct raw_rate {
  uint64_t sent;
  uint64_t received;
};

/// Round trips of `size` bytes for `nanoseconds`, between blocking sockets of two threads. Returns how many were timed.
int raw_round_trips(int size, uint64_t nanoseconds, uint32_t *samples, int capacity);
/// Datagrams of `size` bytes from one thread to another for `nanoseconds`, with sendmmsg/recvmmsg or GSO/GRO.
struct raw_rate raw_one_way(int size, uint64_t nanoseconds, bool offload);

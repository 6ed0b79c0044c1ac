// What differs per operating system, or what Swift cannot express (control-message macros, variadic ioctl, unions),
// behind functions that are the same on Linux and on Apple's systems. It holds no policy: GlueNetwork decides.
//
// Functions that return `int` return a result >= 0, or a negative errno. A setting the system does not have gives
// -ENOPROTOOPT.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

// MARK: Addresses

/// An IP address and port. `family` is 4, 6 or, where there is no address, 0. An IPv4 address is the low 32 bits of `low`.
struct cglue_address {
  uint64_t high;
  uint64_t low;
  uint32_t scope;
  uint16_t port;
  uint8_t family;
};

/// Writes `address` in the system's form; returns its length in bytes.
unsigned cglue_address_encode(const struct cglue_address *address, struct sockaddr_storage *storage);
/// Reads the system's form; `family` is 0 if it is neither IPv4 nor IPv6.
struct cglue_address cglue_address_decode(const struct sockaddr *address);

// MARK: Sockets

enum cglue_option {
  CGLUE_REUSE_ADDRESS,
  CGLUE_REUSE_PORT,
  CGLUE_BROADCAST,
  CGLUE_RECEIVE_BUFFER,
  CGLUE_SEND_BUFFER,
  CGLUE_MULTICAST_LOOP,
  CGLUE_MULTICAST_TTL,
  /// Only groups that this socket joined, not every group that anybody on the host joined.
  CGLUE_MULTICAST_JOINED_ONLY,
  CGLUE_MULTICAST_INTERFACE,
  /// Never fragment, and let the sender find the path's limit: a datagram over the interface's MTU fails with EMSGSIZE.
  CGLUE_DONT_FRAGMENT,
  CGLUE_RECEIVE_OFFLOAD,
  CGLUE_RECEIVE_PACKET_INFO,
  CGLUE_RECEIVE_TIMESTAMP,
  CGLUE_RECEIVE_DROP_COUNT,
  CGLUE_V6_ONLY,
};

/// A non-blocking UDP socket that is closed on exec.
int cglue_socket_open(uint8_t family);
void cglue_socket_close(int descriptor);
int cglue_socket_bind(int descriptor, const struct cglue_address *address);
int cglue_socket_local_address(int descriptor, struct cglue_address *address);
int cglue_socket_set(int descriptor, uint8_t family, enum cglue_option option, int value);
/// The size in bytes that the system granted, as it counts it itself.
int cglue_socket_buffer_bytes(int descriptor, bool receive);
/// Lets the system drop what begins with a byte that is `first` under `mask`, and the four bytes of `next` in network order. Does nothing where
/// there are no such filters.
int cglue_socket_ignore(int descriptor, uint8_t mask, uint8_t first, uint32_t next);
int cglue_socket_membership(int descriptor, const struct cglue_address *group, uint32_t interface_index, bool join);

// MARK: Messages

/// One datagram, or one run of datagrams, to send or receive. Has the layout of Linux's `mmsghdr`.
struct cglue_message {
  struct msghdr header;
  unsigned int byte_count;
};

enum { CGLUE_SEND_CONTROL_BYTES = 96, CGLUE_RECEIVE_CONTROL_BYTES = 256 };

/// What a received message's header and control data say.
struct cglue_receipt {
  struct cglue_address source;
  struct cglue_address destination;
  /// CLOCK_REALTIME in nanoseconds; 0 if unknown.
  uint64_t kernel_time;
  uint32_t interface_index;
  /// The size of each datagram in a coalesced message; 0 if it is a single datagram.
  uint32_t segment_bytes;
  /// How many datagrams the socket's full buffer has dropped so far; 0 if unknown.
  uint32_t queue_drops;
  uint32_t byte_count;
  /// Payload or control data did not fit.
  bool is_truncated;
};

/// Points `message` at its parts and clears its flags. `control` may be NULL.
void cglue_message_prepare(
    struct cglue_message *message, struct sockaddr_storage *name, unsigned name_bytes, struct iovec *vector,
    void *control, size_t control_bytes);
/// Makes a message ready to receive again: the system overwrote the lengths.
void cglue_message_rearm(struct cglue_message *message);
/// Writes segment size and outgoing interface (each 0 for none) as control data; returns its length in bytes. `source` is
/// the IPv4 address that the socket is bound to (0 for the wildcard): with an interface the system would forget it.
size_t cglue_message_control(
    void *control, uint8_t family, uint32_t interface_index, uint32_t source, uint16_t segment_bytes);
/// Reads what `cglue_receive` filled in.
void cglue_message_receipt(const struct cglue_message *message, struct cglue_receipt *receipt);
/// Sends the first of the messages, and as many of those behind it as one system call takes; returns how many went, or the first
/// one's error.
int cglue_send(int descriptor, struct cglue_message *messages, unsigned count);
/// Receives what there is, without waiting; returns how many messages were filled, at least one, or an error.
int cglue_receive(int descriptor, struct cglue_message *messages, unsigned count);

// MARK: Polling

enum { CGLUE_POLLER_SLOTS = 64 };

/// Which of the numbered slots are ready, as bit sets.
struct cglue_ready {
  uint64_t readable;
  uint64_t writable;
  bool is_woken;
};

/// Opens a poller; `wake_descriptor` becomes -1 where none is needed.
int cglue_poller_open(int *wake_descriptor);
/// Watches `descriptor` as slot 0 ..< CGLUE_POLLER_SLOTS, for reading and, if asked, for writing.
int cglue_poller_watch(int poller, int descriptor, unsigned slot, bool writable, bool is_new);
int cglue_poller_forget(int poller, int descriptor);
int cglue_poller_wake(int poller, int wake_descriptor);
/// Waits at most `timeout` nanoseconds (UINT64_MAX: for ever). Returns 0 also when the time is up or a signal came.
int cglue_poller_wait(int poller, uint64_t timeout, struct cglue_ready *ready);

// MARK: Interfaces and clocks

/// One address of one interface, or an interface without addresses (`address.family` is 0).
struct cglue_interface {
  char name[32];
  struct cglue_address address;
  struct cglue_address broadcast;
  uint32_t index;
  int mtu;
  bool is_up;
  bool is_loopback;
  bool is_point_to_point;
  bool supports_multicast;
  /// The address cannot be used yet, or not at all: the system looks, or found, whether another host has it.
  bool is_tentative;
};

/// Lists all interfaces, one entry per address. The caller frees `*entries` with cglue_interfaces_free.
int cglue_interfaces(struct cglue_interface **entries);
void cglue_interfaces_free(struct cglue_interface *entries);
/// Writes the name of the interface with this index, or "" if there is none; `capacity` is at least 32.
void cglue_interface_name(uint32_t index, char *name, size_t capacity);
/// The address that datagrams to far-away hosts leave from. Sends nothing.
int cglue_default_source(uint8_t family, struct cglue_address *source);
/// A non-blocking descriptor that becomes readable when addresses or links change.
int cglue_changes_open(void);
/// Discards what it reported; returns 1 if there was anything.
int cglue_changes_drain(int descriptor);

/// Nanoseconds of a clock that never jumps and counts the time a computer sleeps.
uint64_t cglue_monotonic_nanoseconds(void);
/// Nanoseconds since 1970.
uint64_t cglue_wall_nanoseconds(void);
/// The system's text for an errno, always terminated.
void cglue_error_text(int code, char *text, size_t capacity);

// MARK: Threads

/// Names the calling thread for debuggers and process lists; Linux allows 15 bytes.
void cglue_thread_name(const char *name);

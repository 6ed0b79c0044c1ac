#include "internal.h"

#include <netinet/udp.h>
#include <sys/time.h>
#include <time.h>

#ifdef __linux__
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
_Static_assert(sizeof(struct cglue_message) == sizeof(struct mmsghdr), "cglue_message must be laid out as mmsghdr");
_Static_assert(
    offsetof(struct cglue_message, byte_count) == offsetof(struct mmsghdr, msg_len),
    "cglue_message must be laid out as mmsghdr");
#endif

void cglue_message_prepare(
    struct cglue_message *message, struct sockaddr_storage *name, unsigned name_bytes, struct iovec *vector,
    void *control, size_t control_bytes) {
  memset(message, 0, sizeof *message);
  message->header.msg_name = name;
  message->header.msg_namelen = name_bytes;
  message->header.msg_iov = vector;
  message->header.msg_iovlen = 1;
  message->header.msg_control = control_bytes > 0 ? control : NULL;
  message->header.msg_controllen = control_bytes;
}

void cglue_message_rearm(struct cglue_message *message) {
  message->header.msg_namelen = sizeof(struct sockaddr_storage);
  message->header.msg_controllen = CGLUE_RECEIVE_CONTROL_BYTES;
  message->header.msg_flags = 0;
}

/// Appends one control message at `used`; returns the bytes used then.
static size_t put(void *control, size_t used, int level, int type, const void *value, size_t value_bytes) {
  struct cmsghdr *header = (struct cmsghdr *)((char *)control + used);
  memset(header, 0, CMSG_SPACE(value_bytes));
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(value_bytes);
  memcpy(CMSG_DATA(header), value, value_bytes);
  return used + CMSG_SPACE(value_bytes);
}

size_t cglue_message_control(
    void *control, uint8_t family, uint32_t interface_index, uint32_t source, uint16_t segment_bytes) {
  size_t used = 0;
  if (interface_index != 0 && family == 6) {
    struct in6_pktinfo info = {.ipi6_ifindex = interface_index};
    used = put(control, used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  } else if (interface_index != 0) {
    struct in_pktinfo info = {.ipi_ifindex = interface_index, .ipi_spec_dst.s_addr = htonl(source)};
    used = put(control, used, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  }
#ifdef __linux__
  if (segment_bytes != 0) used = put(control, used, IPPROTO_UDP, UDP_SEGMENT, &segment_bytes, sizeof segment_bytes);
#else
  (void)segment_bytes;
#endif
  return used;
}

static void read_control(struct cmsghdr *header, struct cglue_receipt *receipt) {
  const void *data = CMSG_DATA(header);
  size_t bytes = header->cmsg_len - CMSG_LEN(0);
  if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
    struct in_pktinfo info;
    if (bytes < sizeof info) return;
    memcpy(&info, data, sizeof info);
    receipt->destination.family = 4;
    receipt->destination.low = ntohl(info.ipi_addr.s_addr);
    receipt->interface_index = (uint32_t)info.ipi_ifindex;
  } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
    struct in6_pktinfo info;
    if (bytes < sizeof info) return;
    memcpy(&info, data, sizeof info);
    receipt->destination.family = 6;
    for (int i = 0; i < 8; i++) {
      receipt->destination.high = receipt->destination.high << 8 | info.ipi6_addr.s6_addr[i];
      receipt->destination.low = receipt->destination.low << 8 | info.ipi6_addr.s6_addr[8 + i];
    }
    receipt->interface_index = info.ipi6_ifindex;
  }
#ifdef __linux__
  else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_TIMESTAMPNS) {
    struct timespec time;
    if (bytes < sizeof time) return;
    memcpy(&time, data, sizeof time);
    receipt->kernel_time = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
  } else if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
    int segment;
    if (bytes < sizeof segment) return;
    memcpy(&segment, data, sizeof segment);
    receipt->segment_bytes = segment > 0 ? (uint32_t)segment : 0;
  } else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SO_RXQ_OVFL) {
    if (bytes < sizeof receipt->queue_drops) return;
    memcpy(&receipt->queue_drops, data, sizeof receipt->queue_drops);
  }
#else
  else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_TIMESTAMP) {
    struct timeval time;
    if (bytes < sizeof time) return;
    memcpy(&time, data, sizeof time);
    receipt->kernel_time = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
  }
#endif
}

void cglue_message_receipt(const struct cglue_message *message, struct cglue_receipt *receipt) {
  memset(receipt, 0, sizeof *receipt);
  struct msghdr *header = (struct msghdr *)&message->header;
  receipt->byte_count = message->byte_count;
  receipt->is_truncated = (header->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  receipt->source = cglue_address_decode(header->msg_name);
  for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control))
    read_control(control, receipt);
}

int cglue_send(int descriptor, struct cglue_message *messages, unsigned count) {
#ifdef __linux__
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  if (count > 1) {  // a lone datagram needs no vector
    int result;
    do result = sendmmsg(descriptor, (struct mmsghdr *)messages, count, flags);
    while (result < 0 && errno == EINTR);
    return cglue_result(result);
  }
#else
  const int flags = MSG_DONTWAIT;
  (void)count;
#endif
  ssize_t sent;
  do sent = sendmsg(descriptor, &messages[0].header, flags);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return -errno;
  messages[0].byte_count = (unsigned)sent;
  return 1;
}

int cglue_receive(int descriptor, struct cglue_message *messages, unsigned count) {
#ifdef __linux__
  int result;
  do result = recvmmsg(descriptor, (struct mmsghdr *)messages, count, MSG_DONTWAIT, NULL);
  while (result < 0 && errno == EINTR);
  return cglue_result(result);
#else
  for (unsigned i = 0; i < count; i++) {
    ssize_t result;
    do result = recvmsg(descriptor, &messages[i].header, MSG_DONTWAIT);
    while (result < 0 && errno == EINTR);
    if (result < 0) return i > 0 ? (int)i : -errno;
    messages[i].byte_count = (unsigned)result;
  }
  return (int)count;
#endif
}

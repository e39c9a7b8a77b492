/* Connections to primaries, each shared by the questions of many zones (RFC 7766 §6.2.1.1, RFC 5936 §4.1.1): questions are sent as
 * they come up and answered in any order, also message by message in turns. The message id tells whose answer a message is.
 *
 *   remote (an address) --> channel (from a source) --> ask of zone a   id 4711, with its own TSIG state
 *                                                   --> ask of zone b   id 42
 *                       --> channel ...
 *
 * A channel that ends takes no question with it: what was not answered goes again on another one, unless the question was alone on
 * it or was asked again too often. A peer that cuts channels short, or answers nothing but the first question, is asked one
 * question at a time (it is `shy`) for LIMIT_CHANNEL_SHY_S.
 *
 * A question that is given up in the middle of its answer closes the channel to new ones: it ends with the last question on it, or
 * when more than LIMIT_CHANNEL_STRAY_BYTES came that nobody wants. Thread: the owner's. */
#ifndef XFR_CHANNELS_PRIV_H
#define XFR_CHANNELS_PRIV_H

#include "xfr/net.h"
#include "xfr/remotes_priv.h"
#include "xfr/tokens_priv.h"

struct channel_ask { /* part of whoever asks */
  struct list link;
  struct channel *channel; /* NULL: on none */
  uint64_t joined_ns;
  uint16_t id;    /* what the question has to have; nobody else's on this channel */
  bool pipelined; /* it joined others that were not answered yet */
  bool sent;      /* the question is on its way */
  bool begun;     /* something of the answer came */
  bool answered;  /* set by the asker: all of it is here */
  uint8_t repeats;
};

struct channel_events {
  void *arg;
  /* The connection is there: the question can be sent. */
  void (*open)(void *arg, struct channel_ask *a, struct instant now);
  void (*input)(void *arg, struct channel_ask *a, const uint8_t *message, size_t n, struct instant now);
  /* The ask is on no channel any more. `again`: it may not be this question's fault, so it is asked on another channel. */
  void (*closed)(void *arg, struct channel_ask *a, enum err why, bool again, struct instant now);
};

struct channels {
  const struct xfr_net *net;
  struct map *remotes;
  struct channel_events events;
  struct tokens tokens;
  struct list idle; /* open ones without a question, those that rest longest first */
  uint64_t opened;
};

void channels_init(struct channels *s, const struct xfr_net *net, struct map *remotes, const struct channel_events *events);
void channels_done(struct channels *s); /* after the last ask has left */

/* Gives `a` a place on a channel from `source` (family 0: any) to `r`, and an id. If that is open already, channel_is_open says so
 * and the question can be sent at once. */
MUST_CHECK enum err channel_join(struct channels *s, struct remote *r, const struct addr *source, struct channel_ask *a,
                                 struct instant now);
bool channel_is_open(const struct channel_ask *a);
MUST_CHECK enum err channel_send(struct channels *s, struct channel_ask *a, const uint8_t *bytes, size_t n);
/* Harmless when it is on none. An ask that was sent and has no whole answer closes the channel to others. */
void channel_leave(struct channels *s, struct channel_ask *a);
/* Nothing of the answer came for so long. True: it left and is to be asked again, for others were on the channel. */
bool channel_retreat(struct channels *s, struct channel_ask *a, uint64_t wait_ns, struct instant now);

/* What came from the network, by token. False: not a channel. */
bool channels_open(struct channels *s, uint64_t token, struct instant now);
bool channels_input(struct channels *s, uint64_t token, const uint8_t *message, size_t n, struct instant now);
bool channels_closed(struct channels *s, uint64_t token, enum err why, struct instant now);

void channels_close_idle(struct channels *s);
void channels_run(struct channels *s, struct instant now); /* ends those that idled long enough */
uint64_t channels_deadline(const struct channels *s);      /* UINT64_MAX: never */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop of one thread: descriptors, timers on the wall clock, signals. epoll underneath. */
#pragma once

#include <stdint.h>

struct loop;

int loop_new(struct loop **ret);
void loop_free(struct loop *loop);

/* Calls fn while fd is ready (events: EPOLLIN, ...). The caller keeps fd. */
int loop_fd(struct loop *loop, int fd, uint32_t events, void (*fn)(void *arg, uint32_t events), void *arg);
void loop_fd_del(struct loop *loop, int fd);

/* Calls fn once when the wall clock shows wall_us. A clock set back takes the time with it, within a second. -ENOSPC past 64
 * timers. */
int loop_at(struct loop *loop, int64_t wall_us, void (*fn)(void *arg), void *arg);

/* SIGINT and SIGTERM end loop_run(); SIGHUP calls fn. Blocks these signals in the calling thread: call before others start. */
int loop_signals(struct loop *loop, void (*hup)(void *arg), void *arg);

/* Runs until loop_stop() or a stop signal. 0 or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* from any thread */

/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/tally.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tally_peer peers[TALLY_PEERS];
static unsigned n_peers;

struct tally_peer *tally_peer(const char *side, const char *peer, unsigned port)
{
	struct tally_peer *p;

	pthread_mutex_lock(&lock);
	for (p = peers; p < peers + n_peers; p++)
		if (strcmp(p->side, side) == 0 && strcmp(p->peer, peer) == 0 && p->port == port)
			goto out;
	if (n_peers == TALLY_PEERS)
		abort();
	n_peers++;
	*p = (struct tally_peer){.side = side, .peer = peer, .port = port};
out:
	pthread_mutex_unlock(&lock);
	return p;
}

void tally_add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

void tally_connect(struct tally_peer *p, int error)
{
	tally_add(&p->attempts, 1);
	switch (error) {
	case 0:
		tally_add(&p->opened, 1);
		break;
	case ECONNREFUSED:
		tally_add(&p->refused, 1);
		break;
	case EHOSTUNREACH:
	case ENETUNREACH:
		tally_add(&p->unreachable, 1);
		break;
	case ETIMEDOUT:
		tally_add(&p->timeout, 1);
		break;
	default:
		tally_add(&p->failed_other, 1);
	}
}

int tally_write(const char *program, const char *path)
{
	FILE *f = fopen(path, "we");
	int bad;

	if (!f)
		return -errno;
	pthread_mutex_lock(&lock);
	fputc('[', f);
	for (const struct tally_peer *p = peers; p < peers + n_peers; p++)
		fprintf(f,
			"%s\n{\"program\":\"%s\",\"side\":\"%s\",\"peer\":\"%s\",\"port\":%u,\"attempts\":%llu,\"opened\":%llu,"
			"\"refused\":%llu,\"unreachable\":%llu,\"timeout\":%llu,\"other\":%llu,\"sent\":%llu,\"received\":%llu}",
			p == peers ? "" : ",", program, p->side, p->peer, p->port, (unsigned long long)p->attempts,
			(unsigned long long)p->opened, (unsigned long long)p->refused,
			(unsigned long long)p->unreachable, (unsigned long long)p->timeout,
			(unsigned long long)p->failed_other, (unsigned long long)p->sent,
			(unsigned long long)p->received);
	pthread_mutex_unlock(&lock);
	fputs("\n]\n", f);
	bad = ferror(f);
	return fclose(f) == 0 && !bad ? 0 : -EIO;
}

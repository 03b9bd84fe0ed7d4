/* SPDX-License-Identifier: Apache-2.0 */
/* Positions of a reader of the Kafka bus: what is committed, where it is, where a partition begins and ends. */
#include <errno.h>

#include "base/str.h"
#include "bus/kafka_reader.h"

rd_kafka_t *kafka_reader_handle(struct bus_reader *base)
{
	return reader_of(base)->rk;
}

int kafka_reader_owns(struct bus_reader *base, const struct bus_position *pos, size_t n)
{
	struct kafka_reader *r = reader_of(base);

	if (!r->group)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		const struct kafka_slot *s = reader_slot(r, pos[i].topic, pos[i].partition);

		if (!s || pos[i].offset < 0)
			return -EINVAL;
		if (!s->assigned)
			return -ESTALE;
	}
	return 0;
}

int kafka_committed(struct bus_reader *base, enum bus_topic t, unsigned partition, struct bus_position *ret)
{
	struct kafka_reader *r = reader_of(base);
	struct kafka_bus *k = reader_bus(r);
	rd_kafka_topic_partition_list_t *list = NULL;
	const rd_kafka_topic_partition_t *p = NULL;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	if (!r->group || !reader_slot(r, t, partition))
		return -EINVAL;
	if (r->assigning) /* asked a moment ago, and nobody else may commit */
		p = rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)(uintptr_t)r->assigning,
						       k->names[t], (int32_t)partition);
	if (!p || p->err) {
		list = rd_kafka_topic_partition_list_new(1);
		p = rd_kafka_topic_partition_list_add(list, k->names[t], (int32_t)partition);
		err = rd_kafka_committed(r->rk, list, KAFKA_WAIT_MS);
		err = err ? err : p->err;
	}
	if (!err) {
		*ret = (struct bus_position){
			.topic = t, .partition = partition, .offset = p->offset >= 0 ? p->offset : -1};
		if (p->metadata)
			str_copy(ret->metadata, sizeof(ret->metadata), (struct str){p->metadata, p->metadata_size});
	} else {
		kafka_say(k, "%s: committed positions: %s", r->client.name, rd_kafka_err2str(err));
	}
	if (list)
		rd_kafka_topic_partition_list_destroy(list);
	return kafka_errno(err);
}

int kafka_seek(struct bus_reader *base, enum bus_topic t, unsigned partition, int64_t offset)
{
	struct kafka_reader *r = reader_of(base);
	struct kafka_slot *s = reader_slot(r, t, partition);

	if (!s || !s->assigned)
		return -EINVAL;
	s->pos = s->oldest > offset ? s->oldest : offset;
	s->ended = false;
	return r->assigning ? 0 : kafka_slot_seek(r, s); /* it begins there when the event is over */
}

int kafka_reader_commit(struct bus_reader *base, const struct bus_position *pos, size_t n)
{
	struct kafka_reader *r = reader_of(base);
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;
	int e = kafka_reader_owns(base, pos, n);

	if (e < 0 || n == 0)
		return e;
	list = kafka_list(reader_bus(r), pos, n);
	if (!list)
		return -ENOMEM;
	err = rd_kafka_commit(r->rk, list, 0);
	for (int i = 0; i < list->cnt && !err; i++)
		err = list->elems[i].err;
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		kafka_say(reader_bus(r), "%s: commit: %s", r->client.name, rd_kafka_err2str(err));
	return kafka_errno(err);
}

bool kafka_caught_up(struct bus_reader *base)
{
	const struct kafka_reader *r = reader_of(base);
	bool all = r->joined;

	for (size_t i = 0; i < r->n_slots && all; i++) {
		const struct kafka_slot *s = &r->slots[i];

		all = !s->assigned || s->ended || s->pos >= s->end_at_open;
	}
	return all;
}

bool kafka_reader_bounds(struct kafka_reader *r, enum bus_topic t, unsigned partition, int64_t *ret_oldest,
			 int64_t *ret_end)
{
	const struct kafka_slot *s = reader_slot(r, t, partition);
	int64_t oldest = s ? s->oldest : -1, eof = s ? s->eof : -1, before, low, high;

	if (!s || !s->assigned || oldest < 0)
		return false;
	before = s->before_eof; /* after `eof`: of that event or a later one */
	if (rd_kafka_get_watermark_offsets(r->rk, reader_bus(r)->names[t], (int32_t)partition, &low, &high) || high < 0)
		return false;
	*ret_oldest = low > oldest ? low : oldest;
	*ret_end = eof >= high && before >= 0 ? before : high;
	return true;
}

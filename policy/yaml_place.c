/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/yaml_place.h"

#include <stdbool.h>
#include <string.h>

#include <yaml.h>

static bool place_is(const yaml_node_t *node, const char *text)
{
	return node && node->type == YAML_SCALAR_NODE && node->data.scalar.length == strlen(text) &&
	       memcmp(node->data.scalar.value, text, node->data.scalar.length) == 0;
}

static struct yaml_place place_of(const yaml_node_t *node)
{
	return (struct yaml_place){node->start_mark.line + 1, node->start_mark.column + 1};
}

static struct yaml_place place_key_in(yaml_document_t *doc, yaml_node_t *map, const char *key, unsigned nth)
{
	struct yaml_place found = {0, 0};

	if (!map)
		return found;
	if (map->type == YAML_SEQUENCE_NODE) {
		for (yaml_node_item_t *i = map->data.sequence.items.start;
		     i < map->data.sequence.items.top && !found.line; i++)
			found = place_key_in(doc, yaml_document_get_node(doc, *i), key, nth);
	}
	if (map->type != YAML_MAPPING_NODE)
		return found;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		yaml_node_t *node = yaml_document_get_node(doc, p->key);

		if (place_is(node, key) && nth-- == 0)
			return place_of(node);
	}
	return found;
}

static bool place_load(yaml_parser_t *parser, yaml_document_t *doc, const void *yaml, size_t n)
{
	if (!yaml_parser_initialize(parser))
		return false;
	yaml_parser_set_input_string(parser, yaml, n);
	if (yaml_parser_load(parser, doc))
		return true;
	yaml_parser_delete(parser);
	return false;
}

struct yaml_place yaml_place_key(const void *yaml, size_t n, const char *key, unsigned nth)
{
	struct yaml_place found = {0, 0};
	yaml_parser_t parser;
	yaml_document_t doc;
	yaml_node_t *root;

	if (!place_load(&parser, &doc, yaml, n))
		return found;
	root = yaml_document_get_root_node(&doc);
	found = place_key_in(&doc, root, key, nth);
	if (root && root->type == YAML_MAPPING_NODE) {
		for (yaml_node_pair_t *p = root->data.mapping.pairs.start;
		     p < root->data.mapping.pairs.top && !found.line; p++)
			found = place_key_in(&doc, yaml_document_get_node(&doc, p->value), key, nth);
	}
	yaml_document_delete(&doc);
	yaml_parser_delete(&parser);
	return found;
}

static yaml_node_t *place_get(yaml_document_t *doc, yaml_node_t *map, const char *key)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		if (place_is(yaml_document_get_node(doc, p->key), key))
			return yaml_document_get_node(doc, p->value);
	}
	return NULL;
}

struct yaml_place yaml_place_value(const void *yaml, size_t n, const char *list, size_t i, const char *key)
{
	struct yaml_place found = {0, 0};
	yaml_parser_t parser;
	yaml_document_t doc;
	yaml_node_t *node;

	if (!place_load(&parser, &doc, yaml, n))
		return found;
	node = place_get(&doc, yaml_document_get_root_node(&doc), list);
	if (node && node->type == YAML_SEQUENCE_NODE &&
	    i < (size_t)(node->data.sequence.items.top - node->data.sequence.items.start)) {
		node = yaml_document_get_node(&doc, node->data.sequence.items.start[i]);
		node = place_get(&doc, node, key);
		if (node)
			found = place_of(node);
	}
	yaml_document_delete(&doc);
	yaml_parser_delete(&parser);
	return found;
}

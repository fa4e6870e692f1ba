// SPDX-License-Identifier: GPL-2.0-only
/* A slab allocator for a single thread, the same for all that is compared. */
#include <linux/align.h>
#include <linux/slab.h>
#include <linux/maple_tree.h>

unsigned long bench_nr_bytes;
int kmalloc_verbose;

static struct rcu_head *pending;
static struct kmem_cache *maple_cache;

struct kmem_cache *__kmem_cache_create_args(const char *name, unsigned int size,
					    struct kmem_cache_args *args, unsigned int flags)
{
	struct kmem_cache *cache = calloc(1, sizeof(*cache));

	cache->size = size;
	cache->align = args->align ?: 8;
	cache->ctor = args->ctor;
	cache->sheaf_capacity = args->sheaf_capacity;
	if (!strcmp(name, "maple_node"))
		maple_cache = cache;
	return cache;
}

/* Free objects keep what their constructor made of them, behind the link. */
static void **link_of(struct kmem_cache *cache, void *object)
{
	return object + cache->size;
}

static void *take(struct kmem_cache *cache)
{
	size_t size = ALIGN(cache->size + sizeof(void *), cache->align);
	void *object = cache->objs;

	bench_nr_bytes += cache->size;
	if (object) {
		cache->objs = *link_of(cache, object);
		return object;
	}
	if (posix_memalign(&object, cache->align, size))
		abort();
	if (cache->ctor)
		cache->ctor(object);
	return object;
}

void *kmem_cache_alloc_lru(struct kmem_cache *cache, struct list_lru *lru, int gfp)
{
	void *object = take(cache);

	if (gfp & __GFP_ZERO)
		memset(object, 0, cache->size);
	return object;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	*link_of(cache, object) = cache->objs;
	cache->objs = object;
	bench_nr_bytes -= cache->size;
}

/* Of memory that maple trees take for the time of an operation. */
void kfree(void *p)
{
	free(p);
}

void kmem_cache_free_bulk(struct kmem_cache *cache, size_t size, void **list)
{
	while (size)
		kmem_cache_free(cache, list[--size]);
}

bool kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t size, void **list)
{
	while (size)
		list[--size] = kmem_cache_alloc_lru(cache, NULL, gfp);
	return true;
}

struct slab_sheaf *kmem_cache_prefill_sheaf(struct kmem_cache *cache, gfp_t gfp, unsigned int size)
{
	unsigned int capacity = max(size, cache->sheaf_capacity);
	struct slab_sheaf *sheaf = malloc(sizeof(*sheaf) + capacity * sizeof(void *));

	sheaf->cache = cache;
	sheaf->capacity = capacity;
	sheaf->size = size;
	kmem_cache_alloc_bulk(cache, gfp, size, sheaf->objects);
	return sheaf;
}

void kmem_cache_return_sheaf(struct kmem_cache *cache, gfp_t gfp, struct slab_sheaf *sheaf)
{
	kmem_cache_free_bulk(cache, sheaf->size, sheaf->objects);
	free(sheaf);
}

int kmem_cache_refill_sheaf(struct kmem_cache *cache, gfp_t gfp, struct slab_sheaf **sheafp,
			    unsigned int size)
{
	struct slab_sheaf *sheaf = *sheafp;

	if (size > sheaf->capacity) {
		*sheafp = kmem_cache_prefill_sheaf(cache, gfp, size);
		kmem_cache_return_sheaf(cache, gfp, sheaf);
		return 0;
	}
	while (sheaf->size < size)
		sheaf->objects[sheaf->size++] = kmem_cache_alloc_lru(cache, NULL, gfp);
	return 0;
}

void *kmem_cache_alloc_from_sheaf(struct kmem_cache *cache, gfp_t gfp, struct slab_sheaf *sheaf)
{
	return sheaf->objects[--sheaf->size];
}

void bench_free_maple_node(struct rcu_head *head)
{
	kmem_cache_free(maple_cache, container_of(head, struct maple_node, rcu));
}

struct pending {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

void bench_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	struct pending *p = (struct pending *)head;

	BUILD_BUG_ON(sizeof(*p) > sizeof(*head));
	p->next = pending;
	p->func = func;
	pending = head;
}

void bench_rcu_done(void)
{
	while (pending) {
		struct pending *p = (struct pending *)pending;
		struct rcu_head *head = pending;

		pending = p->next;
		p->func(head);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/layers.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/uuid.h"
#include "ops/metrics.h"
#include "runtime/loop.h"

static const struct row {
    int number;
    const char *name, *code, *what;
    bool present;
} rows[LAYER_COUNT] = {
#define X(id, number, name, present, code, what) {number, name, code, what, present},
#include "guard/layers.def"
#undef X
};

enum { MEASURED_OF = 16 };

static unsigned refused_label[LAYER_COUNT], time_label[LAYER_COUNT];
static unsigned turn[LOOP_MAX + 1]; /* each loop its own */

void layers_prepare(void)
{
    for (unsigned i = 0; i < LAYER_COUNT; i++) {
        refused_label[i] = metrics_label(METRIC_layer_refused, str_from(rows[i].name));
        time_label[i] = metrics_label(METRIC_layer_duration, str_from(rows[i].name));
    }
}

struct layers_watch layers_begin(void)
{
    bool measured = turn[loop_index()]++ % MEASURED_OF == 0;
    return (struct layers_watch){measured ? clock_mono_us() : 0};
}

void layers_skip(struct layers_watch *w)
{
    if (w->from_us)
        w->from_us = clock_mono_us();
}

void layers_done(enum layer which, struct layers_watch *w)
{
    if (!w->from_us)
        return;
    int64_t now_us = clock_mono_us();
    metrics_observe_us(METRIC_layer_duration, time_label[which], now_us - w->from_us);
    w->from_us = now_us;
}

void layers_refused(enum layer which, struct req *req)
{
    metrics_add(METRIC_layer_refused, refused_label[which], 1);
    req->layer = rows[which].number;
}

void layers_put_json(struct buf *b)
{
    json_put_open(b, '[');
    for (unsigned i = 0; i < LAYER_COUNT; i++) {
        const struct row *r = &rows[i];
        json_put_open(b, '{');
        json_put_ki64(b, "layer", r->number);
        json_put_kstr(b, "name", str_from(r->name));
        json_put_kstr(b, "what", str_from(r->what));
        json_put_kbool(b, "present", r->present);
        if (r->present) {
            json_put_kstr(b, "code", r->code[0] ? str_from(r->code) : (struct str){0});
            json_put_ki64(b, "refused",
                          (int64_t)metrics_value(METRIC_layer_refused, refused_label[i]));
            json_put_ki64(b, "measured",
                          (int64_t)metrics_value(METRIC_layer_duration, time_label[i]));
        }
        json_put_close(b, '}');
    }
    json_put_close(b, ']');
}

/* ---- layer 1 ------------------------------------------------------------------------------------ */

bool layers_ids(const struct req *req, struct err *e)
{
    if (!req->params[0].p)
        return true;
    const char *p = req->route->path;
    for (unsigned i = 0; i < ROUTE_PARAMS_MAX && (p = strchr(p, '{')); i++) {
        const char *end = strchr(++p, '}');
        struct str name = str_of(p, (size_t)(end - p));
        struct uuid id;
        if (str_ends(name, S("_id")) && !uuid_parse(req->params[i], &id))
            return err_set(e, 404, "validation_failed", "%.*s must be an UUID", STR_ARG(name));
    }
    return true;
}

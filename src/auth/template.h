/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates of mails: the part of Go's html/template that GoTrue's users write. Parsed once, with
 * errors that name the line; what they show is then escaped by where it stands: as text, as an
 * attribute, as a URL or a part of its query.
 *
 *   {{ .Name }}  {{ .Data.key.key }}  {{- trimmed -}}  {{/ * comment * /}}
 *   {{ if .X }} {{ if not .X }} {{ if eq .X "y" }} {{ if ne .X "y" }} … {{ else if … }} {{ else }} {{ end }}
 *
 * Private to auth/. Knows bytes only; any thread.
 */
#ifndef AUTH_TEMPLATE_H
#define AUTH_TEMPLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct template;

enum { TEMPLATE_MAX = 1024 * 1024 }; /* bytes of source, GoTrue's MAX_SIZE */

/*
 * names: the variables there are, NULL-terminated; below "Data" everything is allowed. html: escape
 * for HTML, else plain text on one line (a subject). *out lives in the arena, with a copy of source.
 * e: 400 "template_invalid", saying line and mend.
 */
MUST_CHECK bool template_parse(struct str source, bool html, const char *const *names,
                               struct arena *a, struct template **out, struct err *e);
/* data: JSON object of the variables; what it lacks shows as nothing. Values are decoded into a. */
void template_render(const struct template *t, struct str data, struct arena *a, struct buf *out);

#endif

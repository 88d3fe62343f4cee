/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process can say about itself, as metrics that are read when they are asked for: memory,
 * CPU, descriptors, start time, the log's losses, the loops' longest turn, the build.
 */
#ifndef OPS_VITALS_H
#define OPS_VITALS_H

/* At start-up, once. */
void vitals_register(void);

#endif

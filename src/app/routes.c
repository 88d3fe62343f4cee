/* SPDX-License-Identifier: Apache-2.0 */
#include "app/routes.h"

#include "account/account.h"
#include "app/admin_port.h"
#include "auth/auth.h"

struct route_table *routes_build(void)
{
    const struct route_list lists[] = {
        {admin_port_routes, admin_port_routes_count},
        {auth_routes, auth_routes_count},
        {account_routes, account_routes_count},
    };
    return route_table_build(lists, sizeof(lists) / sizeof(lists[0]));
}

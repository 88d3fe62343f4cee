/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

#define DAY_S     86400LL
#define OLDEST_US (-62135596800LL * CLOCK_S)               /* 0001-01-01 00:00:00 */
#define NEWEST_US (253402300799LL * CLOCK_S + CLOCK_S - 1) /* 9999-12-31 23:59:59.999999 */

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * CLOCK_S + t.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

/*
 * The Gregorian calendar as arithmetic (H. Hinnant, "chrono-compatible low-level date algorithms"):
 * no locale, no time zone database, no lock. Years begin in March, so that the leap day is last;
 * an era is 400 years. Day 0 is 1970-01-01.
 */
struct civil {
    int year, month, day; /* month and day from 1 */
    int hour, minute, second, micros;
    int weekday; /* 0 is Sunday */
};

static int64_t days_from_civil(int year, int month, int day)
{
    int y = year - (month <= 2);
    int era = (y >= 0 ? y : y - 399) / 400;
    int yoe = y - era * 400;
    int doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (int64_t)era * 146097 + doe - 719468;
}

static struct civil civil_from_us(int64_t us)
{
    us = us < OLDEST_US ? OLDEST_US : us > NEWEST_US ? NEWEST_US : us;
    int64_t seconds = us / CLOCK_S, micros = us % CLOCK_S;
    if (micros < 0) {
        micros += CLOCK_S;
        seconds--;
    }
    int64_t days = seconds / DAY_S, rest = seconds % DAY_S;
    if (rest < 0) {
        rest += DAY_S;
        days--;
    }
    /* The clamp above keeps days + 719468 positive, and all of it within an int. */
    int z = (int)(days + 719468), sod = (int)rest;
    int era = z / 146097, doe = z % 146097;
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int mp = (5 * doy + 2) / 153;
    int month = mp + (mp < 10 ? 3 : -9);
    return (struct civil){
        .year = yoe + era * 400 + (month <= 2),
        .month = month,
        .day = doy - (153 * mp + 2) / 5 + 1,
        .hour = sod / 3600,
        .minute = sod / 60 % 60,
        .second = sod % 60,
        .micros = (int)micros,
        .weekday = (z + 3) % 7, /* 0000-03-01, day -719468, was a Wednesday */
    };
}

/* Writes v in exactly n digits and gives back the place behind. */
static char *digits(char *p, int v, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + n;
}

static char *put(char *p, char c)
{
    *p = c;
    return p + 1;
}

static char *put_time(char *p, const struct civil *c)
{
    p = put(digits(p, c->hour, 2), ':');
    p = put(digits(p, c->minute, 2), ':');
    return digits(p, c->second, 2);
}

void clock_rfc3339(int64_t wall_us, char out[28])
{
    struct civil c = civil_from_us(wall_us);
    char *p = put(digits(out, c.year, 4), '-');
    p = put(digits(p, c.month, 2), '-');
    p = put(digits(p, c.day, 2), 'T');
    p = put(put_time(p, &c), '.');
    p = put(digits(p, c.micros, 6), 'Z');
    *p = '\0';
}

void clock_http_date(int64_t wall_us, char out[30])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct civil c = civil_from_us(wall_us);
    memcpy(out, days + c.weekday * 3, 3);
    memcpy(out + 3, ", ", 2);
    char *p = put(digits(out + 5, c.day, 2), ' ');
    memcpy(p, months + (c.month - 1) * 3, 3);
    p = put(digits(put(p + 3, ' '), c.year, 4), ' ');
    memcpy(put_time(p, &c), " GMT", 5);
}

/* Cuts exactly n digits off *s. */
static bool take(struct str *s, int n, int *out)
{
    int v = 0;
    if (s->n < (size_t)n)
        return false;
    for (int i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        v = v * 10 + (s->p[i] - '0');
    }
    *s = str_from_at(*s, (size_t)n);
    *out = v;
    return true;
}

static bool take_char(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = str_from_at(*s, 1);
    return true;
}

/* ".123456789": what is finer than a microsecond is cut. A point needs a digit behind it. */
static bool take_fraction(struct str *s, int *micros)
{
    int v = 0, n = 0, digit = 0;
    *micros = 0;
    if (!take_char(s, '.'))
        return true;
    while (take(s, 1, &digit)) {
        if (n < 6)
            v = v * 10 + digit;
        n++;
    }
    for (int i = n; i < 6; i++)
        v *= 10;
    *micros = v;
    return n > 0;
}

/* "Z", "+02", "+02:30", "-00:53:28" (PostgreSQL, before standard time). */
static bool take_offset(struct str *s, int *seconds)
{
    int hour = 0, minute = 0, second = 0;
    if (take_char(s, 'Z') || take_char(s, 'z')) {
        *seconds = 0;
        return true;
    }
    bool west = take_char(s, '-');
    if ((!west && !take_char(s, '+')) || !take(s, 2, &hour))
        return false;
    if (take_char(s, ':') && !take(s, 2, &minute))
        return false;
    if (take_char(s, ':') && !take(s, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    int all = hour * 3600 + minute * 60 + second;
    *seconds = west ? -all : all;
    return true;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool take_date(struct str *s, struct civil *c)
{
    return take(s, 4, &c->year) && take_char(s, '-') && take(s, 2, &c->month) && take_char(s, '-')
           && take(s, 2, &c->day) && c->year >= 1 && c->month >= 1 && c->month <= 12 && c->day >= 1
           && c->day <= month_days(c->year, c->month);
}

static bool take_time(struct str *s, struct civil *c)
{
    return take(s, 2, &c->hour) && take_char(s, ':') && take(s, 2, &c->minute) && take_char(s, ':')
           && take(s, 2, &c->second) && take_fraction(s, &c->micros) && c->hour <= 23
           && c->minute <= 59 && c->second <= 59;
}

bool clock_parse(struct str s, int64_t *out)
{
    struct civil c = {0};
    int offset = 0;
    if (!take_date(&s, &c) || !(take_char(&s, ' ') || take_char(&s, 'T') || take_char(&s, 't'))
        || !take_time(&s, &c) || !take_offset(&s, &offset) || s.n != 0)
        return false;
    int64_t seconds = days_from_civil(c.year, c.month, c.day) * DAY_S + c.hour * 3600
                      + c.minute * 60 + c.second - offset;
    *out = seconds * CLOCK_S + c.micros;
    return true;
}

/* vdierror.h: the status codes that the calls of the Virtual Device Interface return.
 *
 * A status is an int; 0 is success. The failures are HRESULTs of severity 1 and facility 0x77, so
 * all of them read 0x8077nnnn.
 *
 * Part of vdisim. Names and values are those of SQL Server's interface; the wording is vdisim's.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef VDISIM_VDIERROR_H
#define VDISIM_VDIERROR_H

#ifndef SEVERITY_ERROR
#define SEVERITY_ERROR 1
#endif

/* Puts severity (1 bit), facility and code together; the result is negative for severity 1. */
#ifndef MAKE_HRESULT
#define MAKE_HRESULT(sev, fac, code) \
    ((int)(((unsigned long)(sev) << 31) | ((unsigned long)(fac) << 16) | (unsigned long)(code)))
#endif

#define VD_ERROR(code) MAKE_HRESULT(SEVERITY_ERROR, 0x77, code)

#ifndef S_OK
#define S_OK 0
#endif

#ifndef NOERROR
#define NOERROR 0
#endif

/* The object is not open. No call returns it today: they say VD_E_PROTOCOL. */
#define VD_E_NOTOPEN VD_ERROR(2)

/* The interval given to a waiting call elapsed. */
#define VD_E_TIMEOUT VD_ERROR(3)

/* One of the two sides asked for an abort, or died: only Close is of use now. */
#define VD_E_ABORT VD_ERROR(4)

/* The objects of the set could not be given, or do not have, the permissions they need. */
#define VD_E_SECURITY VD_ERROR(5)

/* An argument is wrong: a null pointer, a name, a handle, an address, a command. */
#define VD_E_INVALID VD_ERROR(6)

/* No instance of SQL Server has this name. */
#define VD_E_INSTANCE_NAME VD_ERROR(7)

/* The configuration asks for something that is not supported. */
#define VD_E_NOTSUPPORTED VD_ERROR(9)

/* There is not enough memory, shared memory included. */
#define VD_E_MEMORY VD_ERROR(10)

/* An internal error, or shared memory that someone scribbled over. */
#define VD_E_UNEXPECTED VD_ERROR(11)

/* The call is out of order: the set or the device is in a state that does not allow it. */
#define VD_E_PROTOCOL VD_ERROR(12)

/* OpenDevice: all devices are open. Close: some device was still open, the set was aborted. */
#define VD_E_OPEN VD_ERROR(13)

/* The server closed the device: the normal end of its commands. */
#define VD_E_CLOSE VD_ERROR(14)

/* The resource is in use. */
#define VD_E_BUSY VD_ERROR(15)

#endif

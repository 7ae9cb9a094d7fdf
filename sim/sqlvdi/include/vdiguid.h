/* vdiguid.h: the identities of the Virtual Device Interface's COM classes and interfaces. On Windows
 * they are defined here, in every file that includes this, and the linker keeps one of each; on
 * Linux, where nothing asks for them, they are plain data.
 *
 * Part of vdisim. Names and values are those of SQL Server's interface; the wording is vdisim's.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef VDISIM_VDIGUID_H
#define VDISIM_VDIGUID_H

#ifdef _WIN32

#include <windows.h>
/* What WIN32_LEAN_AND_MEAN leaves out. */
#include <ole2.h>

/* A constant is a file's own in C++ unless it says otherwise, and C warns if it does. */
#ifdef __cplusplus
#define VDI_SHARED extern "C"
#else
#define VDI_SHARED
#endif
#define VDI_DEFINE_GUID(name, d1, d2, d3, b0, b1, b2, b3, b4, b5, b6, b7) \
    VDI_SHARED const GUID DECLSPEC_SELECTANY name = {d1, d2, d3, {b0, b1, b2, b3, b4, b5, b6, b7}}

#else

#include <stdint.h>

/* The layout of a GUID: the first three fields in the machine's byte order, then eight bytes. */
struct VDI_GUID
{
    uint32_t Data1;
    uint16_t Data2;
    uint16_t Data3;
    uint8_t Data4[8];
};

#define VDI_DEFINE_GUID(name, d1, d2, d3, b0, b1, b2, b3, b4, b5, b6, b7) \
    static const struct VDI_GUID name = {d1, d2, d3, {b0, b1, b2, b3, b4, b5, b6, b7}}

#endif

/* 40700424-0080-11d2-851f-00c04fc21759 */
VDI_DEFINE_GUID(IID_IClientVirtualDevice, 0x40700424, 0x0080, 0x11d2, 0x85, 0x1f, 0x00, 0xc0, 0x4f,
                0xc2, 0x17, 0x59);

/* 40700425-0080-11d2-851f-00c04fc21759 */
VDI_DEFINE_GUID(IID_IClientVirtualDeviceSet, 0x40700425, 0x0080, 0x11d2, 0x85, 0x1f, 0x00, 0xc0,
                0x4f, 0xc2, 0x17, 0x59);

/* d0e6eb07-7a62-11d2-8573-00c04fc21759 */
VDI_DEFINE_GUID(IID_IClientVirtualDeviceSet2, 0xd0e6eb07, 0x7a62, 0x11d2, 0x85, 0x73, 0x00, 0xc0,
                0x4f, 0xc2, 0x17, 0x59);

/* b5e7a131-a7bd-11d1-84c2-00c04fc21759 */
VDI_DEFINE_GUID(IID_IServerVirtualDevice, 0xb5e7a131, 0xa7bd, 0x11d1, 0x84, 0xc2, 0x00, 0xc0, 0x4f,
                0xc2, 0x17, 0x59);

/* b5e7a132-a7bd-11d1-84c2-00c04fc21759 */
VDI_DEFINE_GUID(IID_IServerVirtualDeviceSet, 0xb5e7a132, 0xa7bd, 0x11d1, 0x84, 0xc2, 0x00, 0xc0,
                0x4f, 0xc2, 0x17, 0x59);

/* aecbd0d6-24c6-11d3-85b7-00c04fc21759 */
VDI_DEFINE_GUID(IID_IServerVirtualDeviceSet2, 0xaecbd0d6, 0x24c6, 0x11d3, 0x85, 0xb7, 0x00, 0xc0,
                0x4f, 0xc2, 0x17, 0x59);

/* 50b99b13-7b84-44d3-9c98-2652bf144d96 */
VDI_DEFINE_GUID(CLSID_WINFS_ClientVirtualDeviceSet, 0x50b99b13, 0x7b84, 0x44d3, 0x9c, 0x98, 0x26,
                0x52, 0xbf, 0x14, 0x4d, 0x96);

/* 92e6b26b-57da-47ed-8153-dff187a76dde */
VDI_DEFINE_GUID(CLSID_WINFS_ServerVirtualDeviceSet, 0x92e6b26b, 0x57da, 0x47ed, 0x81, 0x53, 0xdf,
                0xf1, 0x87, 0xa7, 0x6d, 0xde);

/* a9a3fe12-61c7-496e-aabf-b83e3287ab82 */
VDI_DEFINE_GUID(CLSID_WIDVDI_ClientVirtualDeviceSet, 0xa9a3fe12, 0x61c7, 0x496e, 0xaa, 0xbf, 0xb8,
                0x3e, 0x32, 0x87, 0xab, 0x82);

/* a6f16b19-0040-4947-8d3f-52de129bb615 */
VDI_DEFINE_GUID(CLSID_WIDVDI_ServerVirtualDeviceSet, 0xa6f16b19, 0x0040, 0x4947, 0x8d, 0x3f, 0x52,
                0xde, 0x12, 0x9b, 0xb6, 0x15);

/* SQL Server's own classes have the identity of their first interface. */
#define CLSID_MSSQL_ClientVirtualDeviceSet IID_IClientVirtualDeviceSet
#define CLSID_MSSQL_ServerVirtualDeviceSet IID_IServerVirtualDeviceSet

#endif

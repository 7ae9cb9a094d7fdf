/* The words of Microsoft's SDK that our headers use, as Microsoft's compiler reads them: for a syntax check by a
 * compiler that knows its conventions and has no SDK. */
#ifndef WORDS_OF_THE_SDK_H
#define WORDS_OF_THE_SDK_H

#ifdef __cplusplus
#define EXTERN_C extern "C"
#else
#define EXTERN_C extern
#endif

typedef unsigned char BYTE;
typedef unsigned long DWORD;
typedef unsigned long ULONG;
typedef unsigned __int64 DWORDLONG;
typedef int BOOL;
typedef long HRESULT;
typedef wchar_t WCHAR;
typedef const WCHAR *LPCWSTR;

typedef struct _GUID
{
    unsigned long Data1;
    unsigned short Data2;
    unsigned short Data3;
    unsigned char Data4[8];
} GUID;
typedef GUID IID;
typedef GUID CLSID;
#ifdef __cplusplus
#define REFIID const IID &
#else
#define REFIID const IID *
#endif

#define NOERROR 0
#define MAKE_HRESULT(sev, fac, code) \
    ((HRESULT)(((unsigned long)(sev) << 31) | ((unsigned long)(fac) << 16) | ((unsigned long)(code))))
#define SEVERITY_ERROR 1
#define STDMETHODCALLTYPE __stdcall
#define DECLSPEC_SELECTANY __declspec(selectany)
#define MIDL_INTERFACE(x) struct __declspec(uuid(x)) __declspec(novtable)
#define BEGIN_INTERFACE
#define END_INTERFACE
#define CONST_VTBL

#ifdef __cplusplus
MIDL_INTERFACE("00000000-0000-0000-C000-000000000046")
IUnknown
{
public:
    virtual HRESULT STDMETHODCALLTYPE QueryInterface(REFIID riid, void **ppvObject) = 0;
    virtual ULONG STDMETHODCALLTYPE AddRef() = 0;
    virtual ULONG STDMETHODCALLTYPE Release() = 0;
};
#endif

#endif
